#include "tools/serve/grpc/tensor_contents.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "sluice/error.h"
#include "tools/serve/datatypes.h"
#include "tools/serve/text.h"
#include "tools/serve/types.h"

namespace sluice::serve::rpc {
namespace {

constexpr int64_t kLengthBytes = 4;

[[noreturn]] void Throw(std::string_view name, const std::string& text) {
  throw ServeError(Reason::kInvalid, fmt::format("input '{}': {}", Shown(name), text));
}

int64_t Elements(std::string_view name, const Shape& shape) {
  for (const int64_t size : shape)
    if (size < 0) Throw(name, fmt::format("shape {} has a negative size", ToString(shape)));
  try {
    return NumElements(shape);
  } catch (const Error&) {
    Throw(name, fmt::format("shape {} has too many elements", ToString(shape)));
  }
}

Tensor Strings(std::string_view name, const Shape& shape, int64_t count, std::string_view bytes) {
  const auto too_short = [&](int64_t at) {
    Throw(name, fmt::format("BYTES: element {} of {} lies beyond the {} bytes", at, count, bytes.size()));
  };
  // Before memory is asked for: each element has its length at least.
  if (count > static_cast<int64_t>(bytes.size()) / kLengthBytes)
    too_short(static_cast<int64_t>(bytes.size()) / kLengthBytes);
  Tensor tensor(DataType::kString, shape);
  std::string_view rest = bytes;
  int64_t at = 0;
  for (std::string& text : tensor.mutable_values<std::string>()) {
    uint32_t length = 0;
    if (rest.size() < kLengthBytes) too_short(at);
    std::memcpy(&length, rest.data(), kLengthBytes);
    rest.remove_prefix(kLengthBytes);
    if (rest.size() < length) too_short(at);
    text.assign(rest.substr(0, length));
    rest.remove_prefix(length);
    ++at;
  }
  if (!rest.empty())
    Throw(name, fmt::format("BYTES: {} bytes more than its {} elements have", rest.size(), count));
  return tensor;
}

void CheckBool(std::string_view name, std::string_view bytes) {
  if (std::any_of(bytes.begin(), bytes.end(), [](char byte) { return (byte & ~1) != 0; }))
    Throw(name, "BOOL: expected bytes of 0 and 1");
}

template <typename Field>
Tensor Share(const Field& field, DataType type, const Shape& shape, std::shared_ptr<const void> owner) {
  using Element = typename Field::value_type;
  if (field.empty()) return Tensor(type, shape);  // it may have no address
  return Tensor::Share(type, shape, const_cast<Element*>(field.data()), std::move(owner));
}

template <typename T, typename Field>
Tensor Narrow(std::string_view name, const Field& field, DataType type, const Shape& shape) {
  Tensor tensor(type, shape);
  T* dst = tensor.mutable_values<T>().data();
  for (const auto value : field) {
    if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max())
      Throw(name, fmt::format("{} is not of {}", value, *DatatypeName(type)));
    *dst++ = static_cast<T>(value);
  }
  return tensor;
}

// How many typed fields of the message have elements.
int FilledFields(const inference::InferTensorContents& contents) {
  return (contents.bool_contents_size() > 0) + (contents.int_contents_size() > 0) +
         (contents.int64_contents_size() > 0) + (contents.uint_contents_size() > 0) +
         (contents.uint64_contents_size() > 0) + (contents.fp32_contents_size() > 0) +
         (contents.fp64_contents_size() > 0) + (contents.bytes_contents_size() > 0);
}

}  // namespace

Tensor FromRaw(std::string_view name, DataType type, const Shape& shape, std::string_view bytes,
               std::shared_ptr<const void> owner) {
  const int64_t count = Elements(name, shape);
  if (type == DataType::kString) return Strings(name, shape, count, bytes);
  const auto size = static_cast<int64_t>(bytes.size());
  const int64_t element = ByteSize(type, 1);
  if (size % element != 0 || size / element != count)
    Throw(name, fmt::format("{} {} needs {} elements of {} bytes, but {} bytes came", *DatatypeName(type),
                            ToString(shape), count, element, size));
  if (type == DataType::kBool) CheckBool(name, bytes);
  return Tensor::Share(type, shape, const_cast<char*>(bytes.data()), std::move(owner));
}

Tensor FromContents(const InputTensor& input, DataType type, const Shape& shape,
                    std::shared_ptr<const void> owner) {
  const inference::InferTensorContents& contents = input.contents();
  const int64_t count = Elements(input.name(), shape);
  const auto check = [&](int size, const char* field) {
    if (size != count || (size > 0 && FilledFields(contents) > 1))
      Throw(input.name(), fmt::format("{} {} needs {} elements in {} and nowhere else, but {} came",
                                      *DatatypeName(type), ToString(shape), count, field, size));
  };
  switch (type) {
    case DataType::kBool:
      check(contents.bool_contents_size(), "bool_contents");
      return Share(contents.bool_contents(), type, shape, std::move(owner));
    case DataType::kInt8:
      check(contents.int_contents_size(), "int_contents");
      return Narrow<int8_t>(input.name(), contents.int_contents(), type, shape);
    case DataType::kInt16:
      check(contents.int_contents_size(), "int_contents");
      return Narrow<int16_t>(input.name(), contents.int_contents(), type, shape);
    case DataType::kInt32:
      check(contents.int_contents_size(), "int_contents");
      return Share(contents.int_contents(), type, shape, std::move(owner));
    case DataType::kInt64:
      check(contents.int64_contents_size(), "int64_contents");
      return Share(contents.int64_contents(), type, shape, std::move(owner));
    case DataType::kUInt8:
      check(contents.uint_contents_size(), "uint_contents");
      return Narrow<uint8_t>(input.name(), contents.uint_contents(), type, shape);
    case DataType::kUInt16:
      check(contents.uint_contents_size(), "uint_contents");
      return Narrow<uint16_t>(input.name(), contents.uint_contents(), type, shape);
    case DataType::kUInt32:
      check(contents.uint_contents_size(), "uint_contents");
      return Share(contents.uint_contents(), type, shape, std::move(owner));
    case DataType::kUInt64:
      check(contents.uint64_contents_size(), "uint64_contents");
      return Share(contents.uint64_contents(), type, shape, std::move(owner));
    case DataType::kFloat:
      check(contents.fp32_contents_size(), "fp32_contents");
      return Share(contents.fp32_contents(), type, shape, std::move(owner));
    case DataType::kDouble:
      check(contents.fp64_contents_size(), "fp64_contents");
      return Share(contents.fp64_contents(), type, shape, std::move(owner));
    case DataType::kString: {
      check(contents.bytes_contents_size(), "bytes_contents");
      Tensor tensor(type, shape);
      std::copy(contents.bytes_contents().begin(), contents.bytes_contents().end(),
                tensor.mutable_values<std::string>().begin());
      return tensor;
    }
    default:
      Throw(input.name(), fmt::format("{} goes into raw_input_contents only", *DatatypeName(type)));
  }
}

bool HasContents(const InputTensor& input) {
  return input.has_contents() && FilledFields(input.contents()) > 0;
}

std::string ToRaw(const Tensor& strings) {
  size_t bytes = 0;
  for (const std::string& text : strings.values<std::string>()) bytes += kLengthBytes + text.size();
  std::string raw;
  raw.reserve(bytes);
  for (const std::string& text : strings.values<std::string>()) {
    const auto length = static_cast<uint32_t>(text.size());
    raw.append(reinterpret_cast<const char*>(&length), kLengthBytes);
    raw += text;
  }
  return raw;
}

}  // namespace sluice::serve::rpc
