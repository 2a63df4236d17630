#include <cstring>

#include "graph/import.h"
#include "graph/import_tensor.h"
#include "graph/mapped_file.h"
#include "graph/wire.h"
#include "sluice/error.h"

namespace sluice {
namespace {

constexpr int kMaxDepth = 32;

Value ReadTensor(std::span<const std::byte> bytes) {
  sluice_onnx::TensorProto proto;
  if (bytes.size() > INT32_MAX || !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw Error(ErrorCode::kInvalidArgument, "not an ONNX tensor");
  }
  return ReadTensorProto(proto);
}

// The only elements of tensors of one type, as a tensor [n].
Tensor Gather(const std::vector<Value>& items, DataType type_if_none) {
  const DataType type = items.empty() ? type_if_none : items[0].tensor().dtype();
  Tensor all(type, {static_cast<int64_t>(items.size())});
  const auto bytes = static_cast<size_t>(DataTypeBits(type) / 8);
  for (size_t i = 0; i < items.size(); ++i) {
    const Tensor& item = items[i].tensor();
    if (item.dtype() != type || item.num_elements() != 1) {
      throw Error(ErrorCode::kInvalidArgument, "the values of a map are not single elements of one type");
    }
    if (type == DataType::kString)
      all.mutable_values<std::string>()[i] = item.values<std::string>()[0];
    else
      std::memcpy(static_cast<std::byte*>(all.mutable_data()) + i * bytes, item.data(), bytes);
  }
  return all;
}

Value ReadItems(std::span<const std::byte> bytes, const std::byte* origin, bool sequence, int depth);

// MapProto: key_type 2, keys 3, string_keys 4, values 5 (a SequenceProto).
Value ReadMap(std::span<const std::byte> bytes, const std::byte* origin, int depth) {
  std::vector<int64_t> keys;
  std::vector<std::string> string_keys;
  bool strings = false;
  std::vector<Value> values;
  WireReader reader(bytes, origin);
  for (WireReader::Field field; reader.Next(field);) {
    if (field.number == 2 && field.wire_type == 0) strings = field.varint == static_cast<uint64_t>(DataType::kString);
    if (field.number == 3 && field.wire_type == 0) keys.push_back(static_cast<int64_t>(field.varint));
    if (field.wire_type != 2) continue;
    if (field.number == 3) {
      for (const uint64_t key : WireReader::PackedVarints(field.bytes, origin)) keys.push_back(static_cast<int64_t>(key));
    }
    if (field.number == 4)
      string_keys.emplace_back(reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size());
    if (field.number == 5) values = ReadItems(field.bytes, origin, true, depth + 1).items();
  }
  const size_t count = strings ? string_keys.size() : keys.size();
  if (count != values.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "a map has " + std::to_string(count) + " keys and " + std::to_string(values.size()) + " values");
  }
  const Shape shape = {static_cast<int64_t>(count)};
  return Value::Map(strings ? Tensor::From<std::string>(shape, string_keys) : Tensor::From<int64_t>(shape, keys),
                    Gather(values, DataType::kFloat));
}

// SequenceProto: elem_type 2, tensor_values 3, sequence_values 5, map_values 6, optional_values 7.
// OptionalProto: elem_type 2, tensor_value 3, sequence_value 5, map_value 6, optional_value 7.
// Neither is in every onnx.proto, and both are small.
Value ReadItems(std::span<const std::byte> bytes, const std::byte* origin, bool sequence, int depth) {
  if (depth > kMaxDepth) throw Error(ErrorCode::kInvalidArgument, "values are nested too deeply");
  std::vector<Value> items;
  WireReader reader(bytes, origin);
  for (WireReader::Field field; reader.Next(field);) {
    if (field.wire_type != 2) continue;
    if (field.number == 3) items.push_back(ReadTensor(field.bytes));
    if (field.number == 5) items.push_back(ReadItems(field.bytes, origin, true, depth + 1));
    if (field.number == 6) items.push_back(ReadMap(field.bytes, origin, depth + 1));
    if (field.number == 7) items.push_back(ReadItems(field.bytes, origin, false, depth + 1));
  }
  if (sequence) return Value::Sequence(std::move(items));
  return items.empty() ? Value() : std::move(items.back());
}

}  // namespace

Value ReadValueProto(const std::string& path, ValueType::Kind kind) {
  const std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  const auto bytes = file->bytes();
  try {
    if (kind == ValueType::Kind::kTensor) return ReadTensor(bytes);
    if (kind == ValueType::Kind::kMap) return ReadMap(bytes, bytes.data(), 0);
    return ReadItems(bytes, bytes.data(), kind == ValueType::Kind::kSequence, 0);
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidArgument, path + ": " + error.what());
  }
}

}  // namespace sluice
