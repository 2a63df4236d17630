#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <set>

#include "sluice/error.h"
#include "tools/serve/datatypes.h"
#include "tools/serve/http/compression.h"
#include "tools/serve/http/infer_codec.h"
#include "tools/serve/http/json_elements.h"

namespace sluice::serve {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr size_t kKeptParserBytes = 4 << 20;  // of JSON; parsers that have seen more give their memory back
constexpr int64_t kMostRank = 64;

[[noreturn]] void Invalid(const std::string& message) { throw ServeError(Reason::kInvalid, message); }

Parameters ReadParameters(ondemand::object object) {
  Parameters parameters;
  for (auto field : object) {
    const std::string name(std::string_view(field.unescaped_key()));
    ondemand::value value = field.value();
    Parameter parameter;
    switch (value.type()) {
      case ondemand::json_type::boolean:
        parameter = bool(value.get_bool());
        break;
      case ondemand::json_type::string:
        parameter = std::string(std::string_view(value.get_string()));
        break;
      case ondemand::json_type::number: {
        const ondemand::number number = value.get_number();
        if (number.is_int64())
          parameter = number.get_int64();
        else if (number.is_uint64())
          parameter = number.get_uint64();
        else
          parameter = number.get_double();
        break;
      }
      default:
        Invalid(fmt::format("parameter '{}' is neither string, number nor boolean", name));
    }
    if (!parameters.emplace(name, std::move(parameter)).second)
      Invalid(fmt::format("parameter '{}' is there twice", name));
  }
  return parameters;
}

// Takes a parameter that is the protocol's own out of those that the service sees.
template <typename T>
std::optional<T> TakeParameter(Parameters& parameters, const char* name, const char* expected) {
  const auto place = parameters.find(name);
  if (place == parameters.end()) return std::nullopt;
  const T* value = std::get_if<T>(&place->second);
  if (value == nullptr) Invalid(fmt::format("parameter '{}' is not {}", name, expected));
  const T taken = *value;
  parameters.erase(place);
  return taken;
}

void RefuseSharedMemory(const Parameters& parameters) {
  if (parameters.contains("shared_memory_region"))
    throw ServeError(Reason::kUnsupported, "shared memory is not supported");
}

std::string CheckedName(std::string_view name, std::string_view what) {
  if (name.empty()) Invalid(fmt::format("{} has no name", what));
  return std::string(name);
}

class Decoder {
 public:
  Decoder(std::shared_ptr<Body> body, size_t json_bytes, bool has_binary, const Limits& limits)
      : body_(std::move(body)),
        limits_(limits),
        json_bytes_(json_bytes),
        next_(json_bytes),
        has_binary_(has_binary) {}

  DecodedInfer Decode() {
    thread_local std::unique_ptr<ondemand::parser> kept;
    if (!kept) kept = std::make_unique<ondemand::parser>();
    try {
      const simdjson::padded_string_view json(body_->text().data(), json_bytes_,
                                              json_bytes_ + Body::kPadding);
      ondemand::document document = kept->iterate(json);
      ReadRequest(document.get_object());
      if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
        Invalid("the request's JSON ends before the text does");
    } catch (const simdjson::simdjson_error& error) {
      if (json_bytes_ > kKeptParserBytes) kept.reset();
      Invalid(fmt::format("the request's JSON is broken: {}", simdjson::error_message(error.error())));
    } catch (...) {
      if (json_bytes_ > kKeptParserBytes) kept.reset();
      throw;
    }
    if (json_bytes_ > kKeptParserBytes) kept.reset();
    if (next_ != body_->size())
      Invalid(fmt::format("{} bytes behind the JSON belong to no input", body_->size() - next_));
    if (result_.request.inputs.empty()) Invalid("the request has no inputs");
    result_.request.keep_alive = body_;
    return std::move(result_);
  }

 private:
  struct InputHead {
    std::optional<std::string> name;
    std::optional<Shape> shape;
    std::optional<DataType> type;
    Parameters parameters;
    bool has_data = false;
  };

  void ReadRequest(ondemand::object object) {
    std::set<std::string, std::less<>> seen;
    for (auto field : object) {
      const std::string_view key = field.unescaped_key();
      ondemand::value value = field.value();
      if (key != "id" && key != "parameters" && key != "inputs" && key != "outputs") continue;
      if (!seen.emplace(key).second) Invalid(fmt::format("'{}' is there twice", key));
      if (key == "id") {
        result_.request.id = std::string(std::string_view(value.get_string()));
      } else if (key == "parameters") {
        result_.request.parameters = ReadParameters(value.get_object());
        RefuseSharedMemory(result_.request.parameters);
        result_.form.binary =
            TakeParameter<bool>(result_.request.parameters, "binary_data_output", "a boolean")
                .value_or(false);
      } else if (key == "inputs") {
        for (ondemand::object input : value.get_array()) ReadInput(input);
      } else {
        for (ondemand::object output : value.get_array()) ReadOutput(output);
      }
    }
  }

  void CountTensor() {
    if (++tensors_ > limits_.max_tensors)
      throw ServeError(Reason::kTooLarge,
                       fmt::format("the request has more than {} inputs and outputs", limits_.max_tensors));
  }

  void ReadInput(ondemand::object object) {
    CountTensor();
    InputHead head = ReadInputHead(object);
    if (!head.name) Invalid("an input has no name");
    const std::string& name = *head.name;
    if (!head.shape) Invalid(fmt::format("input '{}' has no shape", name));
    if (!head.type) Invalid(fmt::format("input '{}' has no datatype", name));
    if (!input_names_.insert(name).second) Invalid(fmt::format("input '{}' is there twice", name));
    RefuseSharedMemory(head.parameters);
    const auto bytes = TakeParameter<int64_t>(head.parameters, "binary_data_size", "a number of bytes");
    if (bytes && head.has_data)
      Invalid(fmt::format("input '{}' has data twice: in JSON and in binary", name));
    if (!bytes && !head.has_data) Invalid(fmt::format("input '{}' has no data", name));
    InferInput input;
    input.name = name;
    input.parameters = std::move(head.parameters);
    const int64_t elems = CheckedElements(*head.shape, name);
    if (bytes) {
      input.tensor = TakeBinary(name, *head.type, std::move(*head.shape), elems, *bytes);
    } else {
      if (elems > static_cast<int64_t>(json_bytes_))
        Invalid(fmt::format("input '{}': shape says {} elements, which data cannot hold", name, elems));
      input.tensor = NewTensor(*head.type, std::move(*head.shape), elems);
      object.reset();
      ReadJsonElements(object["data"].get_array(), name, limits_.max_json_depth, input.tensor);
    }
    result_.request.inputs.push_back(std::move(input));
  }

  InputHead ReadInputHead(ondemand::object object) const {
    InputHead head;
    for (auto field : object) {
      const std::string_view key = field.unescaped_key();
      ondemand::value value = field.value();
      bool twice = false;
      if (key == "name") {
        twice = head.name.has_value();
        head.name = CheckedName(value.get_string(), "an input");
      } else if (key == "shape") {
        twice = head.shape.has_value();
        head.shape = ReadShape(value.get_array());
      } else if (key == "datatype") {
        twice = head.type.has_value();
        const std::string_view datatype = value.get_string();
        head.type = ParseDatatype(datatype);
        if (!head.type) Invalid(fmt::format("datatype '{}' is not known", datatype));
      } else if (key == "parameters") {
        twice = !head.parameters.empty();
        head.parameters = ReadParameters(value.get_object());
      } else if (key == "data") {
        twice = std::exchange(head.has_data, true);
      }
      if (twice) Invalid(fmt::format("'{}' of an input is there twice", key));
    }
    return head;
  }

  static Shape ReadShape(ondemand::array array) {
    Shape shape;
    for (ondemand::value size : array) {
      if (static_cast<int64_t>(shape.size()) == kMostRank)
        Invalid(fmt::format("a shape has more than {} dimensions", kMostRank));
      int64_t value;
      if (size.get(value) != simdjson::SUCCESS || value < 0)
        Invalid("a shape holds more than sizes from 0 on");
      shape.push_back(value);
    }
    return shape;
  }

  void ReadOutput(ondemand::object object) {
    CountTensor();
    std::optional<std::string> name;
    Parameters parameters;
    for (auto field : object) {
      const std::string_view key = field.unescaped_key();
      ondemand::value value = field.value();
      if (key == "name")
        name = CheckedName(value.get_string(), "an output");
      else if (key == "parameters")
        parameters = ReadParameters(value.get_object());
    }
    if (!name) Invalid("an output has no name");
    if (!output_names_.insert(*name).second) Invalid(fmt::format("output '{}' is there twice", *name));
    RefuseSharedMemory(parameters);
    const auto classes = TakeParameter<int64_t>(parameters, "classification", "a number of classes");
    if (classes && *classes < 1) Invalid("parameter 'classification' is below 1");
    if (classes) result_.form.classes[*name] = *classes;
    const auto binary = TakeParameter<bool>(parameters, "binary_data", "a boolean");
    if (binary) result_.form.binary_outputs[*name] = *binary;
    result_.request.outputs.push_back(std::move(*name));
  }

  static int64_t CheckedElements(const Shape& shape, const std::string& name) {
    try {
      return NumElements(shape);
    } catch (const Error&) {
      Invalid(
          fmt::format("input '{}': shape {} holds more elements than can be counted", name, ToString(shape)));
    }
  }

  // Memory of its own, from the same budget as the body.
  Tensor NewTensor(DataType type, Shape shape, int64_t elems) const {
    const auto elem_bytes =
        static_cast<int64_t>(type == DataType::kString ? sizeof(std::string) : DataTypeBits(type) / 8);
    body_->Charge(elems * elem_bytes);
    return Tensor(type, std::move(shape));
  }

  Tensor TakeBinary(const std::string& name, DataType type, Shape shape, int64_t elems, int64_t bytes) {
    if (!has_binary_)
      Invalid(fmt::format(
          "input '{}' has binary_data_size, but the request no Inference-Header-Content-Length", name));
    const size_t left = body_->size() - next_;
    if (bytes < 0 || static_cast<uint64_t>(bytes) > left)
      Invalid(fmt::format("input '{}': binary_data_size is {}, but {} bytes are left in the body", name,
                          bytes, left));
    std::byte* data = body_->data() + next_;
    next_ += static_cast<size_t>(bytes);
    if (type == DataType::kString)
      return TakeStrings(name, std::move(shape), elems,
                         {reinterpret_cast<const char*>(data), static_cast<size_t>(bytes)});
    const auto elem_bytes = static_cast<int64_t>(DataTypeBits(type) / 8);
    if (elems > bytes || elems * elem_bytes != bytes)
      Invalid(
          fmt::format("input '{}': binary_data_size is {}, but shape {} of {} bytes an element needs another",
                      name, bytes, ToString(shape), elem_bytes));
    if (type == DataType::kBool)
      for (int64_t i = 0; i < bytes; ++i) data[i] = std::byte{data[i] != std::byte{0}};
    if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(elem_bytes) == 0)
      return Tensor::Share(type, std::move(shape), data, body_);
    Tensor tensor = NewTensor(type, std::move(shape), elems);
    if (bytes > 0) std::memcpy(tensor.mutable_data(), data, static_cast<size_t>(bytes));
    return tensor;
  }

  // Each a length of four bytes, little-endian, and that many bytes.
  Tensor TakeStrings(const std::string& name, Shape shape, int64_t elems, std::string_view bytes) const {
    constexpr size_t kLengthBytes = 4;
    if (elems > static_cast<int64_t>(bytes.size() / kLengthBytes))
      Invalid(fmt::format("input '{}': {} strings do not fit in {} bytes", name, elems, bytes.size()));
    Tensor tensor = NewTensor(DataType::kString, std::move(shape), elems);
    body_->Charge(static_cast<int64_t>(bytes.size()));
    for (std::string& text : tensor.mutable_values<std::string>()) {
      uint32_t length = 0;
      if (bytes.size() < kLengthBytes) Invalid(fmt::format("input '{}': a string's length is cut off", name));
      std::memcpy(&length, bytes.data(), kLengthBytes);
      bytes.remove_prefix(kLengthBytes);
      if (length > bytes.size())
        Invalid(fmt::format("input '{}': a string of {} bytes, but {} are left", name, length, bytes.size()));
      text = bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
    if (!bytes.empty())
      Invalid(fmt::format("input '{}': {} bytes behind its last string", name, bytes.size()));
    return tensor;
  }

  const std::shared_ptr<Body> body_;
  const Limits& limits_;
  const size_t json_bytes_;
  size_t next_;  // byte of the body that no input has taken
  const bool has_binary_;
  int tensors_ = 0;
  std::set<std::string> input_names_, output_names_;
  DecodedInfer result_;
};

std::shared_ptr<Body> Decompressed(const HttpRequest& http, const Limits& limits, size_t aligned) {
  const auto coding = ParseCoding(http.header("content-encoding"));
  if (!coding) Invalid("Content-Encoding is neither gzip, deflate nor identity");
  if (*coding == Coding::kIdentity) return http.body;
  auto body = std::make_shared<Body>(http.body->budget());
  body->Reserve(http.body->size(), aligned);
  Decompress(http.body->text(), *body, static_cast<size_t>(limits.max_request_bytes));
  return body;
}

std::optional<size_t> JsonBytes(const HttpRequest& http) {
  const std::string_view text = http.header("inference-header-content-length");
  if (text.empty()) return std::nullopt;
  size_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc() || end != text.data() + text.size())
    Invalid("Inference-Header-Content-Length is not a number of bytes");
  return bytes;
}

bool LooksLikePicture(std::string_view content_type, std::string_view body) {
  if (content_type.substr(0, 6) == "image/") return true;
  for (const std::string_view start : {"\xff\xd8\xff", "\x89PNG\r\n\x1a\n"})
    if (body.substr(0, start.size()) == start) return true;
  return body.substr(0, 4) == "RIFF" && body.size() > 12 && body.substr(8, 4) == "WEBP";
}

DecodedInfer DecodeRaw(std::shared_ptr<Body> body) {
  DecodedInfer decoded;
  InferInput input;
  input.tensor = Tensor::Share(DataType::kUInt8, {static_cast<int64_t>(body->size())}, body->data(), body);
  decoded.request.inputs.push_back(std::move(input));
  decoded.request.raw = true;
  decoded.request.keep_alive = std::move(body);
  decoded.form.binary = true;
  return decoded;
}

DecodedInfer DecodePicture(std::shared_ptr<Body> body) {
  DecodedInfer decoded;
  InferInput input;
  input.tensor = Tensor::Scalar(std::string(body->text())).Reshaped({1});
  decoded.request.inputs.push_back(std::move(input));
  decoded.request.picture = true;
  decoded.request.keep_alive = std::move(body);  // for its share of the budget
  decoded.form.picture = true;
  return decoded;
}

}  // namespace

DecodedInfer DecodeInfer(const HttpRequest& http, const Limits& limits) {
  if (!http.body || http.body->size() == 0) Invalid("the request has no body");
  const std::optional<size_t> json_bytes = JsonBytes(http);
  const std::shared_ptr<Body> body = Decompressed(http, limits, json_bytes.value_or(0));
  if (json_bytes && *json_bytes > body->size())
    Invalid(fmt::format("Inference-Header-Content-Length is {}, but the body has {} bytes", *json_bytes,
                        body->size()));
  try {
    if (json_bytes == size_t{0}) return DecodeRaw(body);
    if (!json_bytes && LooksLikePicture(http.header("content-type"), body->text()))
      return DecodePicture(body);
    return Decoder(body, json_bytes.value_or(body->size()), json_bytes.has_value(), limits).Decode();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kOutOfMemory)
      throw ServeError(Reason::kOverloaded, "no memory for this request now", 1);
    throw;
  }
}

}  // namespace sluice::serve
