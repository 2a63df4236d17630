#include "tools/serve/grpc/infer_request.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <string>

#include "sluice/error.h"
#include "tools/serve/datatypes.h"
#include "tools/serve/grpc/message.h"
#include "tools/serve/grpc/tensor_contents.h"
#include "tools/serve/text.h"

namespace sluice::serve::rpc {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using Message = inference::ModelInferRequest;

constexpr int kMaxRank = 64;
// What an element of bytes_contents costs beside its bytes, and a string made of it.
constexpr int64_t kStringBytes = 96;

[[noreturn]] void ThrowMalformed() {
  throw ServeError(Reason::kInvalid, "the message is no inference.ModelInferRequest");
}

bool HasLength(uint32_t tag) {
  return WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
}

// The length that precedes a field, at most what is left of the `size` bytes of `input`.
int ReadLength(CodedInputStream& input, int64_t size) {
  int length = 0;
  if (!input.ReadVarintSizeAsInt(&length) || length > size - input.CurrentPosition()) ThrowMalformed();
  return length;
}

void AppendVarint(uint32_t value, std::string& bytes) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

// Fields of a message in `bytes` that have a length: use(number, content).
template <typename Use>
void ForEachField(std::string_view bytes, Use&& use) {
  CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  while (const uint32_t tag = input.ReadTag()) {
    if (!HasLength(tag)) {
      if (!WireFormatLite::SkipField(&input, tag)) ThrowMalformed();
      continue;
    }
    const int length = ReadLength(input, static_cast<int64_t>(bytes.size()));
    use(WireFormatLite::GetTagFieldNumber(tag),
        bytes.substr(static_cast<size_t>(input.CurrentPosition()), static_cast<size_t>(length)));
    if (!input.Skip(length)) ThrowMalformed();
  }
  if (input.CurrentPosition() != static_cast<int>(bytes.size())) ThrowMalformed();
}

// What parsing makes many small objects of.
struct Weight {
  int64_t tensors = 0, parameters = 0, strings = 0;
};

Weight Weigh(std::string_view message) {
  using Input = Message::InferInputTensor;
  using Output = Message::InferRequestedOutputTensor;
  using Contents = inference::InferTensorContents;
  Weight weight;
  ForEachField(message, [&](int field, std::string_view content) {
    if (field == Message::kParametersFieldNumber) ++weight.parameters;
    if (field == Message::kOutputsFieldNumber) {
      ++weight.tensors;
      ForEachField(content, [&](int part, std::string_view) {
        weight.parameters += part == Output::kParametersFieldNumber;
      });
    }
    if (field != Message::kInputsFieldNumber) return;
    ++weight.tensors;
    ForEachField(content, [&](int part, std::string_view contents) {
      weight.parameters += part == Input::kParametersFieldNumber;
      if (part != Input::kContentsFieldNumber) return;
      ForEachField(contents, [&](int typed, std::string_view) {
        weight.strings += typed == Contents::kBytesContentsFieldNumber;
      });
    });
  });
  return weight;
}

void CheckCount(int64_t count, const char* what, int limit) {
  if (count > limit)
    throw ServeError(Reason::kTooLarge, fmt::format("the request has more than {} {}", limit, what));
}

// The raw contents go to `raw`, everything else to the result.
std::string Split(MessageBytes& bytes, const Limits& limits, std::vector<Tensor>& raw) {
  std::string rest;
  CodedInputStream input(&bytes.stream());
  while (const uint32_t tag = input.ReadTag()) {
    if (!HasLength(tag)) {
      if (!WireFormatLite::SkipField(&input, tag)) ThrowMalformed();
      continue;
    }
    const int length = ReadLength(input, bytes.size());
    if (WireFormatLite::GetTagFieldNumber(tag) == Message::kRawInputContentsFieldNumber) {
      CheckCount(static_cast<int64_t>(raw.size()) + 1, "tensors", limits.max_tensors);
      raw.emplace_back(DataType::kUInt8, Shape{length});
      if (!input.ReadRaw(raw.back().mutable_data(), length)) ThrowMalformed();
      continue;
    }
    AppendVarint(tag, rest);
    AppendVarint(static_cast<uint32_t>(length), rest);
    const size_t end = rest.size();
    rest.resize(end + static_cast<size_t>(length));
    if (!input.ReadRaw(rest.data() + end, length)) ThrowMalformed();
  }
  if (input.CurrentPosition() != bytes.size()) ThrowMalformed();
  return rest;
}

std::optional<Parameter> ToParameter(const inference::InferParameter& parameter) {
  switch (parameter.parameter_choice_case()) {
    case inference::InferParameter::kBoolParam:
      return parameter.bool_param();
    case inference::InferParameter::kInt64Param:
      return parameter.int64_param();
    case inference::InferParameter::kUint64Param:
      return parameter.uint64_param();
    case inference::InferParameter::kDoubleParam:
      return parameter.double_param();
    case inference::InferParameter::kStringParam:
      return parameter.string_param();
    case inference::InferParameter::PARAMETER_CHOICE_NOT_SET:
      break;
  }
  return std::nullopt;
}

template <typename Map>
Parameters ToParameters(const Map& map) {
  Parameters parameters;
  for (const auto& [name, value] : map) {
    std::optional<Parameter> parameter = ToParameter(value);
    if (!parameter)
      throw ServeError(Reason::kInvalid, fmt::format("parameter '{}' has no value", Shown(name)));
    parameters.emplace(name, *std::move(parameter));
  }
  return parameters;
}

template <typename Map>
void RefuseSharedMemory(const Map& parameters, const std::string& tensor) {
  if (parameters.count("shared_memory_region") > 0)
    throw ServeError(Reason::kUnsupported,
                     fmt::format("tensor '{}': this server has no shared_memory_region", Shown(tensor)));
}

// How many classes an output is wanted as; 0: its elements.
int64_t ClassesOf(const Message::InferRequestedOutputTensor& output) {
  const auto found = output.parameters().find("classification");
  if (found == output.parameters().end()) return 0;
  const std::optional<Parameter> parameter = ToParameter(found->second);
  const auto* count = parameter ? std::get_if<int64_t>(&*parameter) : nullptr;
  if (count == nullptr || *count < 1)
    throw ServeError(Reason::kInvalid,
                     fmt::format("output '{}': parameter 'classification': expected a number of "
                                 "classes from 1 as int64_param",
                                 Shown(output.name())));
  return *count;
}

}  // namespace

std::shared_ptr<InferMessage> ReadInferMessage(grpc::ByteBuffer& buffer, const Limits& limits,
                                               std::shared_ptr<Budget> budget) {
  auto result = std::make_shared<InferMessage>(std::move(budget));
  result->charge.Add(static_cast<int64_t>(buffer.Length()));
  MessageBytes bytes(buffer, limits.max_request_bytes);
  result->charge.Add(bytes.size() - std::min(bytes.size(), static_cast<int64_t>(buffer.Length())));
  std::string rest;
  try {
    rest = Split(bytes, limits, result->raw);
  } catch (const Error&) {
    throw ServeError(Reason::kOverloaded, "no memory for this request now", 1);
  }
  const Weight weight = Weigh(rest);
  CheckCount(weight.tensors, "tensors", limits.max_tensors);
  CheckCount(weight.parameters, "parameters", limits.max_tensors);
  result->charge.Add(weight.strings * kStringBytes);
  if (!result->message.ParseFromArray(rest.data(), static_cast<int>(rest.size()))) ThrowMalformed();
  return result;
}

InferRequest ToInferRequest(const std::shared_ptr<const InferMessage>& message, ClassCounts& classes) {
  const Message& from = message->message;
  InferRequest request;
  request.model = from.model_name();
  request.version = from.model_version();
  request.id = from.id();
  request.parameters = ToParameters(from.parameters());
  request.keep_alive = message;
  const bool raw = !message->raw.empty();
  if (raw && static_cast<int>(message->raw.size()) != from.inputs_size())
    throw ServeError(Reason::kInvalid,
                     fmt::format("raw_input_contents: expected one for each of the {} inputs, but {} came",
                                 from.inputs_size(), message->raw.size()));
  for (int i = 0; i < from.inputs_size(); ++i) {
    const InputTensor& input = from.inputs(i);
    RefuseSharedMemory(input.parameters(), input.name());
    const std::optional<DataType> type = ParseDatatype(input.datatype());
    if (!type)
      throw ServeError(Reason::kInvalid, fmt::format("input '{}': datatype '{}' is not known",
                                                     Shown(input.name()), Shown(input.datatype())));
    if (input.shape_size() > kMaxRank)
      throw ServeError(Reason::kInvalid,
                       fmt::format("input '{}': more than {} dimensions", Shown(input.name()), kMaxRank));
    const Shape shape(input.shape().begin(), input.shape().end());
    if (raw && HasContents(input))
      throw ServeError(Reason::kInvalid,
                       fmt::format("input '{}': contents beside raw_input_contents, expected one of them",
                                   Shown(input.name())));
    InferInput& to = request.inputs.emplace_back();
    to.name = input.name();
    to.parameters = ToParameters(input.parameters());
    if (raw) {
      const auto bytes = message->raw[static_cast<size_t>(i)].values<char>();
      to.tensor = FromRaw(input.name(), *type, shape, {bytes.data(), bytes.size()}, message);
    } else {
      to.tensor = FromContents(input, *type, shape, message);
    }
  }
  for (const auto& output : from.outputs()) {
    RefuseSharedMemory(output.parameters(), output.name());
    if (const int64_t count = ClassesOf(output); count > 0) classes[output.name()] = count;
    request.outputs.push_back(output.name());
  }
  return request;
}

}  // namespace sluice::serve::rpc
