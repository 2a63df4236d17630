#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)

namespace sluice {

// Element types, numbered as in onnx.TensorProto.DataType.
enum class DataType : uint8_t {
  kUndefined = 0,
  kFloat = 1,
  kUInt8 = 2,
  kInt8 = 3,
  kUInt16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUInt32 = 12,
  kUInt64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBFloat16 = 16,
  kFloat8E4M3FN = 17,
  kFloat8E4M3FNUZ = 18,
  kFloat8E5M2 = 19,
  kFloat8E5M2FNUZ = 20,
  kUInt4 = 21,
  kInt4 = 22,
  kFloat4E2M1 = 23,
  kFloat8E8M0 = 24,
  kUInt2 = 25,
  kInt2 = 26,
};

// Name as the ONNX specification spells it in type strings: "float", "int64", "float8e4m3fn".
// "undefined" for anything that is not a DataType. Thread-safe.
std::string_view DataTypeName(DataType type);

// Bits that one element takes in memory: 4 for the 4-bit types, sizeof(std::string) * 8 for
// strings, 0 for kUndefined.
int DataTypeBits(DataType type);

// Bytes that `elems` elements take; sub-byte types are packed, low bits first, and the last byte is
// padded. Throws Error{kInvalidArgument} where the size does not fit in int64_t or elems < 0.
int64_t ByteSize(DataType type, int64_t elems);

}  // namespace sluice

#pragma GCC visibility pop
