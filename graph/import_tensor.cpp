#include "graph/import_tensor.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "sluice/error.h"

namespace sluice {
namespace {

using sluice_onnx::SparseTensorProto;
using sluice_onnx::TensorProto;
using sluice_onnx::TypeProto;

std::string Name(const TensorProto& proto) {
  return proto.name().empty() ? "a tensor without name" : "tensor '" + proto.name() + "'";
}

[[noreturn]] void Fail(const TensorProto& proto, const std::string& what) {
  throw Error(ErrorCode::kInvalidModel, Name(proto) + ": " + what);
}

DataType TypeOf(int32_t number) {
  const auto type = static_cast<DataType>(number);
  return number > 0 && number < 256 && DataTypeBits(type) > 0 ? type : DataType::kUndefined;
}

Shape ShapeOf(const TensorProto& proto) {
  Shape shape(proto.dims().begin(), proto.dims().end());
  try {
    ByteSize(TypeOf(proto.data_type()), NumElements(shape));
  } catch (const Error& error) {
    Fail(proto, error.what());
  }
  return shape;
}

// Copies a typed list into elements of T; what a list entry holds beyond T's width is dropped.
template <typename T, typename List>
Tensor FromList(const TensorProto& proto, DataType type, const Shape& shape, const List& list, int64_t entries) {
  if (static_cast<int64_t>(list.size()) != entries) {
    Fail(proto, "shape " + ToString(shape) + " needs " + std::to_string(entries) + " entries, found " +
                    std::to_string(list.size()));
  }
  Tensor tensor(type, shape);
  T* out = static_cast<T*>(tensor.mutable_data());
  for (int i = 0; i < list.size(); ++i) out[i] = static_cast<T>(list.Get(i));
  return tensor;
}

Tensor ReadStrings(const TensorProto& proto, const Shape& shape) {
  if (proto.string_data_size() != NumElements(shape)) {
    Fail(proto, "shape " + ToString(shape) + " needs " + std::to_string(NumElements(shape)) + " strings, found " +
                    std::to_string(proto.string_data_size()));
  }
  Tensor tensor(DataType::kString, shape);
  for (int i = 0; i < proto.string_data_size(); ++i) {
    tensor.mutable_values<std::string>()[static_cast<size_t>(i)] = proto.string_data(i);
  }
  return tensor;
}

// From the typed fields.
Tensor ReadLists(const TensorProto& proto, DataType type, const Shape& shape) {
  const int64_t elems = NumElements(shape);
  switch (type) {
    case DataType::kString: return ReadStrings(proto, shape);
    case DataType::kFloat: return FromList<float>(proto, type, shape, proto.float_data(), elems);
    case DataType::kComplex64: return FromList<float>(proto, type, shape, proto.float_data(), 2 * elems);
    case DataType::kDouble: return FromList<double>(proto, type, shape, proto.double_data(), elems);
    case DataType::kComplex128: return FromList<double>(proto, type, shape, proto.double_data(), 2 * elems);
    case DataType::kInt64: return FromList<int64_t>(proto, type, shape, proto.int64_data(), elems);
    case DataType::kUInt32: return FromList<uint32_t>(proto, type, shape, proto.uint64_data(), elems);
    case DataType::kUInt64: return FromList<uint64_t>(proto, type, shape, proto.uint64_data(), elems);
    case DataType::kInt32: return FromList<int32_t>(proto, type, shape, proto.int32_data(), elems);
    default: break;
  }
  switch (DataTypeBits(type)) {
    case 16: return FromList<uint16_t>(proto, type, shape, proto.int32_data(), elems);
    case 8: {
      Tensor tensor = FromList<uint8_t>(proto, type, shape, proto.int32_data(), elems);
      if (type == DataType::kBool) {
        for (uint8_t& value : std::span(static_cast<uint8_t*>(tensor.mutable_data()), static_cast<size_t>(elems))) {
          value = value != 0;
        }
      }
      return tensor;
    }
    default:  // packed: an entry is a byte
      return FromList<uint8_t>(proto, type, shape, proto.int32_data(), ByteSize(type, elems));
  }
}

bool HoldsLists(const TensorProto& proto) {
  return proto.float_data_size() + proto.int32_data_size() + proto.int64_data_size() + proto.double_data_size() +
             proto.uint64_data_size() + proto.string_data_size() > 0;
}

// `raw` as a tensor: a view that `owner` keeps alive where that is possible, else a copy.
Tensor FromRaw(const TensorProto& proto, DataType type, const Shape& shape, std::span<const std::byte> raw,
               const std::shared_ptr<const void>& owner) {
  if (type == DataType::kString) Fail(proto, "strings in raw_data");
  const int64_t bytes = ByteSize(type, NumElements(shape));
  if (static_cast<int64_t>(raw.size()) != bytes) {
    Fail(proto, "shape " + ToString(shape) + " of " + std::string(DataTypeName(type)) + " needs " +
                    std::to_string(bytes) + " bytes, found " + std::to_string(raw.size()));
  }
  const auto alignment = static_cast<uintptr_t>(std::min(8, std::max(1, DataTypeBits(type) / 8)));
  // Booleans are copied: a byte other than 0 and 1 must not reach a kernel.
  if (owner && type != DataType::kBool && bytes > 0 && reinterpret_cast<uintptr_t>(raw.data()) % alignment == 0) {
    return Tensor::Share(type, shape, const_cast<std::byte*>(raw.data()), owner);
  }
  Tensor tensor(type, shape);
  if (bytes > 0) std::memcpy(tensor.mutable_data(), raw.data(), raw.size());
  if (type == DataType::kBool) {
    for (uint8_t& value : std::span(static_cast<uint8_t*>(tensor.mutable_data()), raw.size())) value = value != 0;
  }
  return tensor;
}

DataType CheckedType(const TensorProto& proto) {
  const DataType type = TypeOf(proto.data_type());
  if (type == DataType::kUndefined) Fail(proto, "unknown element type " + std::to_string(proto.data_type()));
  if (proto.has_segment()) Fail(proto, "segmented tensors are not supported");
  return type;
}

int64_t ParseNumber(const TensorProto& proto, const std::string& key, const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    Fail(proto, "external data: " + key + " is '" + text + "', expected a number");
  }
  return value;
}

}  // namespace

std::span<const std::byte> TensorSource::External(const TensorProto& proto, int64_t wanted,
                                                  std::shared_ptr<const void>& owner) {
  if (!folder_) Fail(proto, "external data, but the model was not read from a file");
  std::string location;
  int64_t offset = 0, length = -1;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = ParseNumber(proto, "offset", entry.value());
    if (entry.key() == "length") length = ParseNumber(proto, "length", entry.value());
  }
  if (length < 0) length = wanted;
  locations_.insert(location);
  std::span<const std::byte> bytes;  // that are there from `offset` on
  int64_t size = 0;
  try {
    if (copy_) {
      const auto part = std::make_shared<const Tensor>(ReadFileInside(*folder_, location, offset, length, size));
      bytes = std::as_bytes(part->values<uint8_t>());
      owner = part;
    } else {
      std::shared_ptr<const MappedFile>& file = files_[location];
      if (!file) file = MappedFile::OpenInside(*folder_, location);
      bytes = file->bytes();
      size = static_cast<int64_t>(bytes.size());
      bytes = bytes.subspan(static_cast<size_t>(std::min(offset, size)));
      owner = file;
    }
  } catch (const Error& error) {
    Fail(proto, error.what());
  }
  if (offset > size || length > static_cast<int64_t>(bytes.size())) {
    Fail(proto, "external data: bytes " + std::to_string(offset) + " to " + std::to_string(offset) + " + " +
                    std::to_string(length) + " of '" + location + "', which has " + std::to_string(size));
  }
  return bytes.first(static_cast<size_t>(length));
}

Tensor TensorSource::Read(const TensorProto& proto) {
  const DataType type = CheckedType(proto);
  const Shape shape = ShapeOf(proto);
  if (proto.data_location() == TensorProto::EXTERNAL) {
    std::shared_ptr<const void> owner;
    const auto raw = External(proto, ByteSize(type, NumElements(shape)), owner);
    return FromRaw(proto, type, shape, raw, owner);
  }
  if (!proto.has_raw_data()) return ReadLists(proto, type, shape);
  uint64_t index = 0;
  if (proto.raw_data().size() == sizeof index) std::memcpy(&index, proto.raw_data().data(), sizeof index);
  if (index >= blobs_.size()) Fail(proto, "broken raw_data");
  // Some exporters write an empty raw_data beside the list that holds the elements.
  if (blobs_[index].empty() && HoldsLists(proto)) return ReadLists(proto, type, shape);
  return FromRaw(proto, type, shape, blobs_[index], owner_);
}

Tensor TensorSource::Read(const SparseTensorProto& proto) {
  const Tensor values = Read(proto.values());
  const Tensor indices = Read(proto.indices());
  const TensorProto& named = proto.values();
  const Shape shape(proto.dims().begin(), proto.dims().end());
  int64_t elems = 0;
  try {
    elems = NumElements(shape);
  } catch (const Error& error) {
    Fail(named, error.what());
  }
  if (values.dtype() == DataType::kString || DataTypeBits(values.dtype()) < 8) Fail(named, "sparse element type");
  if (indices.dtype() != DataType::kInt64 || values.rank() != 1) Fail(named, "sparse indices are not int64");
  const int64_t count = values.num_elements(), rank = static_cast<int64_t>(shape.size());
  const bool linear = indices.rank() == 1;
  if (indices.shape() != (linear ? Shape{count} : Shape{count, rank})) {
    Fail(named, "sparse indices have shape " + ToString(indices.shape()) + " for " + std::to_string(count) + " values");
  }
  Tensor dense(values.dtype(), shape);
  const size_t size = static_cast<size_t>(DataTypeBits(values.dtype()) / 8);
  if (elems > 0) std::memset(dense.mutable_data(), 0, static_cast<size_t>(dense.byte_size()));
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = 0;
    for (int64_t d = 0; d < (linear ? 1 : rank); ++d) {
      const int64_t index = indices.values<int64_t>()[static_cast<size_t>(linear ? i : i * rank + d)];
      const int64_t limit = linear ? elems : shape[static_cast<size_t>(d)];
      if (index < 0 || index >= limit) Fail(named, "sparse index " + std::to_string(index) + " is outside " + ToString(shape));
      at = linear ? index : at * limit + index;
    }
    std::memcpy(static_cast<std::byte*>(dense.mutable_data()) + static_cast<size_t>(at) * size,
                static_cast<const std::byte*>(values.data()) + static_cast<size_t>(i) * size, size);
  }
  return dense;
}

void TensorSource::ForgetExternal() const {
  for (const auto& [location, file] : files_) {
    if (file) file->Forget();
  }
}

Tensor ReadTensorProto(const TensorProto& proto) {
  const DataType type = CheckedType(proto);
  const Shape shape = ShapeOf(proto);
  if (proto.data_location() == TensorProto::EXTERNAL) Fail(proto, "external data is not supported here");
  if (!proto.has_raw_data() || (proto.raw_data().empty() && HoldsLists(proto))) return ReadLists(proto, type, shape);
  return FromRaw(proto, type, shape, std::as_bytes(std::span(proto.raw_data())), nullptr);
}

ValueType ReadType(const TypeProto& proto, const std::string& place) {
  ValueType type;
  if (proto.has_sequence_type()) {
    type = ReadType(proto.sequence_type().elem_type(), place);
    type.kind = ValueType::Kind::kSequence;
    type.has_shape = false;
    type.shape.clear();
    return type;
  }
  if (proto.has_optional_type()) {
    type = ReadType(proto.optional_type().elem_type(), place);
    type.kind = ValueType::Kind::kOptional;
    type.has_shape = false;
    type.shape.clear();
    return type;
  }
  if (proto.has_sparse_tensor_type()) throw Error(ErrorCode::kUnsupported, place + ": sparse tensors are not supported");
  if (proto.has_map_type()) {
    type = ReadType(proto.map_type().value_type(), place);
    type.kind = ValueType::Kind::kMap;
    type.has_shape = false;
    type.shape.clear();
    type.key_type = TypeOf(proto.map_type().key_type());
    const auto is = [](DataType of, std::initializer_list<DataType> types) {
      return std::find(types.begin(), types.end(), of) != types.end();
    };
    if (!is(type.key_type, {DataType::kInt64, DataType::kString}) ||
        !is(type.dtype, {DataType::kFloat, DataType::kDouble, DataType::kInt64, DataType::kString})) {
      throw Error(ErrorCode::kUnsupported, place + ": a " + ToString(type) + " is not supported");
    }
    return type;
  }
  if (!proto.has_tensor_type()) return type;
  const int32_t number = proto.tensor_type().elem_type();
  type.dtype = TypeOf(number);
  if (number != 0 && type.dtype == DataType::kUndefined) {
    throw Error(ErrorCode::kUnsupported, place + ": unknown element type " + std::to_string(number));
  }
  if (!proto.tensor_type().has_shape()) return type;
  type.has_shape = true;
  for (const auto& dim : proto.tensor_type().shape().dim()) {
    // Exporters write -1, or a name, or nothing where a size is open.
    if (dim.has_dim_value() && dim.dim_value() >= 0) type.shape.emplace_back(dim.dim_value());
    else if (dim.has_dim_param() && !dim.dim_param().empty()) type.shape.push_back(Dim::Symbol(dim.dim_param()));
    else type.shape.emplace_back();
  }
  return type;
}

}  // namespace sluice
