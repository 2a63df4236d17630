#pragma once

#include <cstdint>
#include <limits>

#include "kernels/dispatch.h"

namespace sluice {

// Reading and writing elements of the types that quantised tensors have, sub-byte types among them.

// Smallest and largest value of an integer type of at most 32 bits.
struct IntegerRange {
  bool valid = false;
  float low = 0, high = 0;
};
IntegerRange IntegerRangeOf(DataType type);

// Whether QuantizeLinear can make elements of the type.
bool IsQuantizedType(DataType type);

// Elements [begin, begin + count) as floats: any float type but double, integers up to 32 bits.
void LoadAsFloat(DataType type, const void* data, int64_t begin, int64_t count, float* to);

// The reverse for float types: rounds.
void StoreFloats(DataType type, const float* from, int64_t begin, int64_t count, void* data);

// Whether the type is a float of 8 bits or less.
bool IsNarrowFloat(DataType type);
// As those types round; beyond their range as EncodeNarrow says.
void StoreNarrowFloats(DataType type, const float* values, bool saturate, int64_t begin, int64_t count,
                       void* data);

// For integer types. Rounds to nearest even, adds the zero points, which are whole numbers of the type, and
// clamps to the type's range; NaN gives its lowest value. `values` is overwritten. For types below 8 bits,
// `begin` is where a byte begins.
void StoreQuantized(DataType type, float* values, const float* zero_points, int64_t begin, int64_t count,
                    void* data);

// The same for one element of an integer type.
template <typename Q>
Q Requantized(float value, float zero_point) {
  constexpr float kLow = static_cast<float>(std::numeric_limits<Q>::min());
  constexpr float kHigh = static_cast<float>(std::numeric_limits<Q>::max());
  // Of a number below 2^22, adding and subtracting 1.5 * 2^23 leaves the nearest whole number.
  constexpr float kRound = 12582912.0f;
  const float low = kLow - zero_point, high = kHigh - zero_point;
  float v = value > low ? value : low;
  v = v < high ? v : high;
  return static_cast<Q>(static_cast<int32_t>(((v + kRound) - kRound) + zero_point));
}

}  // namespace sluice
