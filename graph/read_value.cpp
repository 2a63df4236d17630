#include <sstream>

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

// SequenceProto: elem_type 2, tensor_values 3, sequence_values 5, optional_values 7.
// OptionalProto: elem_type 2, tensor_value 3, sequence_value 5, optional_value 7.
// Neither is in every onnx.proto, and both are small.
Value ReadItems(std::span<const std::byte> bytes, const std::byte* origin, bool sequence, int depth) {
  if (depth > kMaxDepth) throw Error(ErrorCode::kInvalidArgument, "values are nested too deeply");
  std::vector<Value> items;
  WireReader reader(bytes, origin);
  for (WireReader::Field field; reader.Next(field);) {
    if (field.wire_type != 2) continue;
    if (field.number == 3) items.push_back(ReadTensor(field.bytes));
    if (field.number == 5) items.push_back(ReadItems(field.bytes, origin, true, depth + 1));
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
    return ReadItems(bytes, bytes.data(), kind == ValueType::Kind::kSequence, 0);
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidArgument, path + ": " + error.what());
  }
}

}  // namespace sluice
