#include "tools/serve/http/metadata_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::serve {
namespace {

using Json = nlohmann::ordered_json;

// Names come from files: bytes that are no text are replaced.
std::string Text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json TensorsJson(const std::vector<TensorInfo>& tensors) {
  Json json = Json::array();
  for (const TensorInfo& tensor : tensors)
    json.push_back({{"name", tensor.name}, {"datatype", tensor.datatype}, {"shape", tensor.shape}});
  return json;
}

// Triton's configurations call BYTES a string, and leave out the dimension that batches.
Json ConfigTensorsJson(const ModelInfo& info, const std::vector<TensorInfo>& tensors) {
  Json json = Json::array();
  for (const TensorInfo& tensor : tensors) {
    Shape dims = tensor.shape;
    if (info.max_batch_size > 0 && !dims.empty()) dims.erase(dims.begin());
    json.push_back(
        {{"name", tensor.name},
         {"data_type", "TYPE_" + (tensor.datatype == "BYTES" ? std::string("STRING") : tensor.datatype)},
         {"dims", dims}});
  }
  return json;
}

Json DurationJson(const Duration& duration) { return {{"count", duration.count}, {"ns", duration.ns}}; }

}  // namespace

std::string ServerJson() {
  return Text({{"name", "sluice"},
               {"version", SLUICE_VERSION},
               {"extensions",
                {"binary_tensor_data", "classification", "model_configuration", "model_repository",
                 "model_repository(unload_dependents)", "statistics"}}});
}

std::string ModelJson(const ModelInfo& info) {
  Json json = {{"name", info.name},
               {"versions", info.versions},
               {"platform", "onnx_onnxv1"},
               {"inputs", TensorsJson(info.inputs)},
               {"outputs", TensorsJson(info.outputs)}};
  if (!info.properties.empty()) json["properties"] = info.properties;
  // What the web page wants to know beside.
  if (info.takes_pictures) json["takes_pictures"] = true;
  if (info.detects) json["detects"] = true;
  if (!info.labels.empty()) json["labels"] = info.labels;
  return Text(json);
}

std::string ConfigJson(const ModelInfo& info) {
  Json json = {{"name", info.name},
               {"platform", "onnxruntime_onnx"},
               {"backend", "onnxruntime"},
               {"version_policy", {{"latest", {{"num_versions", 1}}}}},
               {"max_batch_size", info.max_batch_size},
               {"input", ConfigTensorsJson(info, info.inputs)},
               {"output", ConfigTensorsJson(info, info.outputs)}};
  if (info.max_batch_size > 0)
    json["dynamic_batching"] = {{"preferred_batch_size", {info.max_batch_size}},
                                {"max_queue_delay_microseconds", info.max_delay_us}};
  return Text(json);
}

std::string StatisticsJson(const std::vector<ModelStatistics>& statistics) {
  Json models = Json::array();
  for (const ModelStatistics& model : statistics) {
    Json batches = Json::array();
    for (const BatchStatistics& batch : model.batches)
      batches.push_back({{"batch_size", batch.batch_size},
                         {"compute_input", DurationJson(batch.compute_input)},
                         {"compute_infer", DurationJson(batch.compute_infer)},
                         {"compute_output", DurationJson(batch.compute_output)}});
    models.push_back({{"name", model.name},
                      {"version", model.version},
                      {"last_inference", model.last_inference_ms},
                      {"inference_count", model.inference_count},
                      {"execution_count", model.execution_count},
                      {"inference_stats",
                       {{"success", DurationJson(model.success)},
                        {"fail", DurationJson(model.fail)},
                        {"queue", DurationJson(model.queue)},
                        {"compute_input", DurationJson(model.compute_input)},
                        {"compute_infer", DurationJson(model.compute_infer)},
                        {"compute_output", DurationJson(model.compute_output)}}},
                      {"batch_stats", batches}});
  }
  return Text({{"model_stats", models}});
}

std::string IndexJson(const std::vector<IndexEntry>& entries) {
  Json json = Json::array();
  for (const IndexEntry& entry : entries)
    json.push_back(
        {{"name", entry.name}, {"version", entry.version}, {"state", entry.state}, {"reason", entry.reason}});
  return Text(json);
}

}  // namespace sluice::serve
