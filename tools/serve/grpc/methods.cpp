#include "tools/serve/grpc/methods.h"

#include <algorithm>
#include <array>

#include "inference.pb.h"
#include "sluice/session.h"
#include "tools/serve/grpc/message.h"
#include "tools/serve/text.h"

namespace sluice::serve::rpc {
namespace {

constexpr const char* kPlatform = "onnx_onnxv1";
// Clients that read configurations look for a platform and a backend that they know.
constexpr const char* kConfigPlatform = "onnxruntime_onnx";
constexpr const char* kBackend = "onnxruntime";

// Adapts a function of messages to bytes.
template <typename Request, typename Response, void (*kFill)(const Request&, Service&, Response&)>
grpc::ByteBuffer Answer(grpc::ByteBuffer& bytes, int64_t max_bytes, Service& service) {
  Request request;
  ReadMessage(bytes, max_bytes, request);
  Response response;
  kFill(request, service, response);
  return WriteMessage(response);
}

void Live(const inference::ServerLiveRequest&, Service& service, inference::ServerLiveResponse& response) {
  response.set_live(service.Live());
}

void Ready(const inference::ServerReadyRequest&, Service& service, inference::ServerReadyResponse& response) {
  response.set_ready(service.Ready());
}

void IsModelReady(const inference::ModelReadyRequest& request, Service& service,
                  inference::ModelReadyResponse& response) {
  response.set_ready(service.ModelReady(request.name(), request.version()));
}

void ServerMetadata(const inference::ServerMetadataRequest&, Service&,
                    inference::ServerMetadataResponse& response) {
  response.set_name("sluice");
  response.set_version(std::string(Version()));
  for (const char* extension : {"binary_tensor_data", "model_configuration", "model_repository",
                                "model_repository(unload_dependents)", "statistics"})
    response.add_extensions(extension);
}

void ModelMetadata(const inference::ModelMetadataRequest& request, Service& service,
                   inference::ModelMetadataResponse& response) {
  const ModelInfo info = service.Info(request.name(), request.version());
  response.set_name(info.name);
  for (const std::string& version : info.versions) response.add_versions(version);
  response.set_platform(kPlatform);
  const auto add = [](const TensorInfo& from, inference::ModelMetadataResponse::TensorMetadata& to) {
    to.set_name(from.name);
    to.set_datatype(from.datatype);
    to.mutable_shape()->Add(from.shape.begin(), from.shape.end());
  };
  for (const TensorInfo& input : info.inputs) add(input, *response.add_inputs());
  for (const TensorInfo& output : info.outputs) add(output, *response.add_outputs());
  // A file may hold bytes that no message may.
  for (const auto& [name, value] : info.properties)
    if (IsPrintableUtf8(name) && (value.empty() || IsPrintableUtf8(value)))
      (*response.mutable_properties())[name] = value;
}

inference::DataType ConfigType(const std::string& datatype) {
  inference::DataType type = inference::TYPE_INVALID;
  inference::DataType_Parse(datatype == "BYTES" ? "TYPE_STRING" : "TYPE_" + datatype, &type);
  return type;
}

// A configuration states the sizes of one item: of a model that batches, without the first dimension.
template <typename Tensor>
void SetConfigTensor(const TensorInfo& from, bool batched, Tensor& to) {
  to.set_name(from.name);
  to.set_data_type(ConfigType(from.datatype));
  to.mutable_dims()->Add(from.shape.begin() + (batched && !from.shape.empty()), from.shape.end());
}

void ModelConfig(const inference::ModelConfigRequest& request, Service& service,
                 inference::ModelConfigResponse& response) {
  const ModelInfo info = service.Info(request.name(), request.version());
  inference::ModelConfig& config = *response.mutable_config();
  config.set_name(info.name);
  config.set_platform(kConfigPlatform);
  config.set_backend(kBackend);
  config.set_max_batch_size(static_cast<int32_t>(std::min<int64_t>(info.max_batch_size, INT32_MAX)));
  const bool batched = info.max_batch_size > 0;
  for (const TensorInfo& input : info.inputs) SetConfigTensor(input, batched, *config.add_input());
  for (const TensorInfo& output : info.outputs) SetConfigTensor(output, batched, *config.add_output());
  if (!batched) return;
  config.mutable_dynamic_batching()->add_preferred_batch_size(config.max_batch_size());
  config.mutable_dynamic_batching()->set_max_queue_delay_microseconds(
      static_cast<uint64_t>(std::max<int64_t>(0, info.max_delay_us)));
}

void SetDuration(const Duration& from, inference::StatisticDuration& to) {
  to.set_count(from.count);
  to.set_ns(from.ns);
}

void Statistics(const inference::ModelStatisticsRequest& request, Service& service,
                inference::ModelStatisticsResponse& response) {
  for (const ModelStatistics& from : service.Statistics(request.name(), request.version())) {
    inference::ModelStatistics& to = *response.add_model_stats();
    to.set_name(from.name);
    to.set_version(from.version);
    to.set_last_inference(from.last_inference_ms);
    to.set_inference_count(from.inference_count);
    to.set_execution_count(from.execution_count);
    inference::InferStatistics& all = *to.mutable_inference_stats();
    SetDuration(from.success, *all.mutable_success());
    SetDuration(from.fail, *all.mutable_fail());
    SetDuration(from.queue, *all.mutable_queue());
    SetDuration(from.compute_input, *all.mutable_compute_input());
    SetDuration(from.compute_infer, *all.mutable_compute_infer());
    SetDuration(from.compute_output, *all.mutable_compute_output());
    for (const BatchStatistics& batch : from.batches) {
      inference::InferBatchStatistics& one = *to.add_batch_stats();
      one.set_batch_size(batch.batch_size);
      SetDuration(batch.compute_input, *one.mutable_compute_input());
      SetDuration(batch.compute_infer, *one.mutable_compute_infer());
      SetDuration(batch.compute_output, *one.mutable_compute_output());
    }
  }
}

void CheckRepository(const std::string& name) {
  if (!name.empty())
    throw ServeError(Reason::kUnsupported, "repository_name: this server has one repository, without a name");
}

void Index(const inference::RepositoryIndexRequest& request, Service& service,
           inference::RepositoryIndexResponse& response) {
  CheckRepository(request.repository_name());
  for (const IndexEntry& from : service.Index(request.ready())) {
    auto& to = *response.add_models();
    to.set_name(from.name);
    to.set_version(from.version);
    to.set_state(from.state);
    to.set_reason(from.reason);
  }
}

void Load(const inference::RepositoryModelLoadRequest& request, Service& service,
          inference::RepositoryModelLoadResponse&) {
  CheckRepository(request.repository_name());
  if (!request.parameters().empty())
    throw ServeError(Reason::kUnsupported,
                     "parameters: a model loads as it lies in the repository; "
                     "neither its configuration nor its files come with the request");
  service.Load(request.model_name());
}

void Unload(const inference::RepositoryModelUnloadRequest& request, Service& service,
            inference::RepositoryModelUnloadResponse&) {
  CheckRepository(request.repository_name());
  service.Unload(request.model_name());  // a model has no dependents: `unload_dependents` asks for nothing
}

template <typename Request, typename Response>
using Fill = void (*)(const Request&, Service&, Response&);

// What a function of messages takes, told from its type.
template <auto kFill, typename Request, typename Response>
constexpr auto Adapt(Fill<Request, Response>) {
  return &Answer<Request, Response, kFill>;
}

constexpr std::array kMethods = {
    Method{"ServerLive", false, false, Adapt<&Live>(&Live)},
    Method{"ServerReady", false, false, Adapt<&Ready>(&Ready)},
    Method{"ModelReady", false, false, Adapt<&IsModelReady>(&IsModelReady)},
    Method{"ServerMetadata", true, false, Adapt<&ServerMetadata>(&ServerMetadata)},
    Method{"ModelMetadata", true, false, Adapt<&ModelMetadata>(&ModelMetadata)},
    Method{"ModelConfig", true, false, Adapt<&ModelConfig>(&ModelConfig)},
    Method{"ModelStatistics", true, false, Adapt<&Statistics>(&Statistics)},
    Method{"RepositoryIndex", true, false, Adapt<&Index>(&Index)},
    Method{"RepositoryModelLoad", true, true, Adapt<&Load>(&Load)},
    Method{"RepositoryModelUnload", true, true, Adapt<&Unload>(&Unload)},
};

}  // namespace

const Method* FindMethod(std::string_view name) {
  const auto found = std::find_if(kMethods.begin(), kMethods.end(),
                                  [&](const Method& method) { return method.name == name; });
  return found != kMethods.end() ? &*found : nullptr;
}

}  // namespace sluice::serve::rpc
