#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <type_traits>

#include "kernels/half.h"
#include "sluice/data_type.h"
#include "sluice/error.h"

namespace sluice {

template <typename... Ts>
struct TypeList {};

template <typename T>
struct TypeTag {
  using type = T;
};

// The element type in memory of a C++ type.
template <typename T>
constexpr DataType kDataType = DataType::kUndefined;
template <> inline constexpr DataType kDataType<float> = DataType::kFloat;
template <> inline constexpr DataType kDataType<double> = DataType::kDouble;
template <> inline constexpr DataType kDataType<Half> = DataType::kFloat16;
template <> inline constexpr DataType kDataType<BFloat16> = DataType::kBFloat16;
template <> inline constexpr DataType kDataType<uint8_t> = DataType::kUInt8;
template <> inline constexpr DataType kDataType<int8_t> = DataType::kInt8;
template <> inline constexpr DataType kDataType<uint16_t> = DataType::kUInt16;
template <> inline constexpr DataType kDataType<int16_t> = DataType::kInt16;
template <> inline constexpr DataType kDataType<uint32_t> = DataType::kUInt32;
template <> inline constexpr DataType kDataType<int32_t> = DataType::kInt32;
template <> inline constexpr DataType kDataType<uint64_t> = DataType::kUInt64;
template <> inline constexpr DataType kDataType<int64_t> = DataType::kInt64;
template <> inline constexpr DataType kDataType<bool> = DataType::kBool;
template <> inline constexpr DataType kDataType<std::string> = DataType::kString;
template <> inline constexpr DataType kDataType<std::complex<float>> = DataType::kComplex64;
template <> inline constexpr DataType kDataType<std::complex<double>> = DataType::kComplex128;

using FloatTypes = TypeList<float, double, Half, BFloat16>;
using IntTypes = TypeList<int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t>;
using NumericTypes = TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t, int64_t, uint8_t,
                              uint16_t, uint32_t, uint64_t>;
using SignedTypes = TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t, int64_t>;
using IndexTypes = TypeList<int32_t, int64_t>;

// Calls fn(TypeTag<T>()) for the T of the list that `type` names and returns true; false if none does.
template <typename... Ts, typename Fn>
bool Dispatch(TypeList<Ts...>, DataType type, Fn&& fn) {
  return ((kDataType<Ts> == type && (fn(TypeTag<Ts>()), true)) || ...);
}

// Whether the list has `type`.
template <typename... Ts>
bool Contains(TypeList<Ts...>, DataType type) {
  return ((kDataType<Ts> == type) || ...);
}

// Moving elements needs only their size: calls fn with a type of as many bytes (std::string for
// strings); false for the sub-byte types.
template <typename Fn>
bool DispatchBySize(DataType type, Fn&& fn) {
  if (type == DataType::kString) return fn(TypeTag<std::string>()), true;
  switch (DataTypeBits(type)) {
    case 8: return fn(TypeTag<uint8_t>()), true;
    case 16: return fn(TypeTag<uint16_t>()), true;
    case 32: return fn(TypeTag<uint32_t>()), true;
    case 64: return fn(TypeTag<uint64_t>()), true;
    case 128: return fn(TypeTag<std::complex<double>>()), true;
  }
  return false;
}

// The type in which arithmetic on T is done: float for the 16-bit floats, otherwise T.
template <typename T>
using ComputeType = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

}  // namespace sluice
