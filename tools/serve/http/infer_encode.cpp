#include <fmt/format.h>

#include <cstring>
#include <iterator>

#include "tools/serve/datatypes.h"
#include "tools/serve/http/infer_codec.h"
#include "tools/serve/http/json_writer.h"

namespace sluice::serve {
namespace {

constexpr double kMsPerNs = 1e-6;

void AppendParameter(const Parameter& parameter, std::string& json) {
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string>)
          AppendJsonString(value, json);
        else
          fmt::format_to(std::back_inserter(json), "{}", value);
      },
      parameter);
}

void AppendParameters(const Parameters& parameters, std::string& json) {
  json += '{';
  bool first = true;
  for (const auto& [name, value] : parameters) {
    if (!std::exchange(first, false)) json += ',';
    AppendJsonString(name, json);
    json += ':';
    AppendParameter(value, json);
  }
  json += '}';
}

void AppendBoxes(const std::vector<DetectedBox>& boxes, std::string& json) {
  json += '[';
  for (const DetectedBox& box : boxes) {
    if (&box != &boxes.front()) json += ',';
    json += "{\"label\":";
    AppendJsonString(box.label, json);
    fmt::format_to(std::back_inserter(json), ",\"score\":{:.4f},\"box\":[{:.1f},{:.1f},{:.1f},{:.1f}]}}",
                   box.score, box.box[0], box.box[1], box.box[2], box.box[3]);
  }
  json += ']';
}

void AppendProfile(const std::vector<StepProfile>& profile, std::string& json) {
  json += '[';
  for (const StepProfile& step : profile) {
    if (&step != &profile.front()) json += ',';
    json += "{\"node\":";
    AppendJsonString(step.node, json);
    json += ",\"op\":";
    AppendJsonString(step.op, json);
    json += ",\"kernel\":";
    AppendJsonString(step.kernel, json);
    json += ",\"output\":";
    AppendJsonString(step.output_shape, json);
    fmt::format_to(std::back_inserter(json), ",\"calls\":{},\"ns\":{}}}", step.calls, step.total_ns);
  }
  json += ']';
}

// Each a length of four bytes, little-endian, and that many bytes.
std::shared_ptr<const std::string> PackStrings(const Tensor& tensor) {
  auto packed = std::make_shared<std::string>();
  for (const std::string& text : tensor.values<std::string>()) {
    const auto length = static_cast<uint32_t>(text.size());
    packed->append(reinterpret_cast<const char*>(&length), sizeof length);
    packed->append(text);
  }
  return packed;
}

// Adds the tensor's bytes behind the JSON, by reference where they lie as the protocol wants them; how many.
size_t AddBinary(const Tensor& tensor, HttpReply& reply) {
  if (tensor.dtype() == DataType::kString) {
    auto packed = PackStrings(tensor);
    reply.parts.emplace_back(packed->data(), packed->size());
    reply.owners.push_back(packed);
    return packed->size();
  }
  auto kept = std::make_shared<const Tensor>(tensor.is_borrowed() ? tensor.Clone() : tensor);
  const auto bytes = static_cast<size_t>(kept->byte_size());
  reply.parts.emplace_back(static_cast<const char*>(kept->data()), bytes);
  reply.owners.push_back(std::move(kept));
  return bytes;
}

void AppendOutput(const std::string& name, const Tensor& tensor, bool binary, HttpReply& reply) {
  std::string& json = reply.text;
  json += "{\"name\":";
  AppendJsonString(name, json);
  const auto datatype = DatatypeName(tensor.dtype());
  if (!datatype)
    throw ServeError(Reason::kUnsupported,
                     fmt::format("output '{}' has a type that the protocol has no name for", name));
  fmt::format_to(std::back_inserter(json), ",\"datatype\":\"{}\",\"shape\":[", *datatype);
  for (size_t i = 0; i < tensor.shape().size(); ++i) {
    if (i > 0) json += ',';
    json += std::to_string(tensor.shape()[i]);
  }
  json += ']';
  if (binary) {
    fmt::format_to(std::back_inserter(json), ",\"parameters\":{{\"binary_data_size\":{}}}",
                   AddBinary(tensor, reply));
  } else {
    json += ",\"data\":";
    AppendJsonElements(tensor, name, json);
  }
  json += '}';
}

// W3C's header that browsers show: the share of each stage in milliseconds.
std::string ServerTiming(const Timing& timing) {
  return fmt::format("queue;dur={:.3f}, batch;dur={:.3f};desc=\"{}\", compute;dur={:.3f}",
                     timing.queue_ns * kMsPerNs, timing.batch_ns * kMsPerNs, timing.batch_size,
                     timing.compute_ns * kMsPerNs);
}

}  // namespace

HttpReply EncodeInfer(const InferResponse& response, const ReplyForm& form) {
  HttpReply reply;
  std::string& json = reply.text;
  json += "{\"model_name\":";
  AppendJsonString(response.model, json);
  json += ",\"model_version\":";
  AppendJsonString(response.version, json);
  if (!response.id.empty()) {
    json += ",\"id\":";
    AppendJsonString(response.id, json);
  }
  if (!response.parameters.empty()) {
    json += ",\"parameters\":";
    AppendParameters(response.parameters, json);
  }
  if (response.detections) {
    json += ",\"detections\":";
    AppendBoxes(*response.detections, json);
  }
  if (!response.profile.empty()) {
    json += ",\"profile\":";
    AppendProfile(response.profile, json);
  }
  if (!(form.picture && response.detections)) {
    json += ",\"outputs\":[";
    for (const auto& [name, tensor] : response.outputs) {
      if (&name != &response.outputs.front().first) json += ',';
      const auto wanted = form.binary_outputs.find(name);
      AppendOutput(name, tensor, wanted == form.binary_outputs.end() ? form.binary : wanted->second, reply);
    }
    json += ']';
  }
  json += '}';
  if (form.picture) json += '\n';  // for those who look at it in a terminal
  reply.headers.emplace_back("Server-Timing", ServerTiming(response.timing));
  if (!reply.parts.empty()) {
    reply.content_type = "application/octet-stream";
    reply.headers.emplace_back("Inference-Header-Content-Length", std::to_string(json.size()));
  }
  return reply;
}

}  // namespace sluice::serve
