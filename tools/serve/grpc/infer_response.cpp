#include "tools/serve/grpc/infer_response.h"

#include <fmt/format.h>
#include <grpcpp/support/slice.h>

#include <climits>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "inference.pb.h"
#include "tools/serve/datatypes.h"
#include "tools/serve/grpc/message.h"
#include "tools/serve/grpc/tensor_contents.h"

namespace sluice::serve::rpc {
namespace {

using Message = inference::ModelInferResponse;

// Smaller tensors are copied: a slice of their own costs more.
constexpr size_t kCopyUpTo = 4 << 10;

constexpr uint8_t LengthTag(int field) { return static_cast<uint8_t>(field << 3 | 2); }

void AppendVarint(uint64_t value, std::string& bytes) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

size_t VarintBytes(uint64_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

void SetParameter(const Parameter& from, inference::InferParameter& to) {
  if (const auto* flag = std::get_if<bool>(&from)) to.set_bool_param(*flag);
  if (const auto* number = std::get_if<int64_t>(&from)) to.set_int64_param(*number);
  if (const auto* number = std::get_if<uint64_t>(&from)) to.set_uint64_param(*number);
  if (const auto* number = std::get_if<double>(&from)) to.set_double_param(*number);
  if (const auto* text = std::get_if<std::string>(&from)) to.set_string_param(*text);
}

// The steps of a run as a JSON list, since parameters hold no lists.
std::string ProfileText(const std::vector<StepProfile>& steps) {
  nlohmann::json list = nlohmann::json::array();
  for (const StepProfile& step : steps)
    list.push_back({{"node", step.node},
                    {"op", step.op},
                    {"kernel", step.kernel},
                    {"input_shapes", step.input_shapes},
                    {"output_shape", step.output_shape},
                    {"calls", step.calls},
                    {"total_ns", step.total_ns}});
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Everything but the raw contents.
Message Head(const InferResponse& response) {
  Message message;
  message.set_model_name(response.model);
  message.set_model_version(response.version);
  message.set_id(response.id);
  for (const auto& [name, value] : response.parameters)
    SetParameter(value, (*message.mutable_parameters())[name]);
  if (!response.profile.empty())
    (*message.mutable_parameters())["profile"].set_string_param(ProfileText(response.profile));
  for (const auto& [name, tensor] : response.outputs) {
    const std::optional<std::string_view> type = DatatypeName(tensor.dtype());
    if (!type)
      throw ServeError(Reason::kUnsupported,
                       fmt::format("output '{}' is of a type that the protocol does not have", name));
    auto& output = *message.add_outputs();
    output.set_name(name);
    output.set_datatype(std::string(*type));
    output.mutable_shape()->Add(tensor.shape().begin(), tensor.shape().end());
  }
  return message;
}

// Bytes to send: text of our own, or memory that an owner keeps.
class Parts {
 public:
  std::string& text() { return text_; }

  void Append(const Tensor& tensor) {
    const auto* data = static_cast<const char*>(tensor.data());
    const auto bytes = static_cast<size_t>(tensor.byte_size());
    if (bytes <= kCopyUpTo || tensor.is_borrowed())
      text_.append(data, bytes);
    else
      Own(new Tensor(tensor), data, bytes);
  }
  void Append(std::string bytes) {
    if (bytes.size() <= kCopyUpTo) {
      text_ += bytes;
      return;
    }
    auto* owner = new std::string(std::move(bytes));
    Own(owner, owner->data(), owner->size());
  }
  grpc::ByteBuffer Take() {
    Flush();
    return grpc::ByteBuffer(slices_.data(), slices_.size());
  }

 private:
  template <typename Owner>
  void Own(Owner* owner, const char* data, size_t bytes) {
    Flush();
    slices_.emplace_back(
        const_cast<char*>(data), bytes, [](void* kept) { delete static_cast<Owner*>(kept); }, owner);
  }
  void Flush() {
    if (text_.empty()) return;
    slices_.emplace_back(text_);
    text_.clear();
  }

  std::string text_;
  std::vector<grpc::Slice> slices_;
};

}  // namespace

grpc::ByteBuffer WriteInferResponse(const InferResponse& response, bool in_stream) {
  const std::string head = Head(response).SerializeAsString();
  std::vector<std::string> strings;  // of BYTES outputs, in their order
  std::vector<size_t> sizes;
  size_t bytes = head.size();
  for (const auto& [name, tensor] : response.outputs) {
    if (tensor.dtype() == DataType::kString) {
      strings.push_back(ToRaw(tensor));
      sizes.push_back(strings.back().size());
    } else {
      sizes.push_back(static_cast<size_t>(tensor.byte_size()));
    }
    bytes += 1 + VarintBytes(sizes.back()) + sizes.back();
  }
  if (bytes > INT_MAX - 16) throw ServeError(Reason::kTooLarge, "the answer is larger than 2 GiB");
  Parts parts;
  if (in_stream) {
    parts.text() +=
        static_cast<char>(LengthTag(inference::ModelStreamInferResponse::kInferResponseFieldNumber));
    AppendVarint(bytes, parts.text());
  }
  parts.text() += head;
  size_t at = 0, at_string = 0;
  for (const auto& [name, tensor] : response.outputs) {
    parts.text() += static_cast<char>(LengthTag(Message::kRawOutputContentsFieldNumber));
    AppendVarint(sizes[at++], parts.text());
    if (tensor.dtype() == DataType::kString)
      parts.Append(std::move(strings[at_string++]));
    else
      parts.Append(tensor);
  }
  return parts.Take();
}

grpc::ByteBuffer WriteStreamError(std::string_view message, const std::string& model, const std::string& id) {
  inference::ModelStreamInferResponse response;
  response.set_error_message(std::string(message));
  response.mutable_infer_response()->set_model_name(model);
  response.mutable_infer_response()->set_id(id);
  return WriteMessage(response);
}

}  // namespace sluice::serve::rpc
