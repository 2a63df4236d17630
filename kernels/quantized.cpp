#include "kernels/quantized.h"

#include <algorithm>

#include "kernels/narrow.h"

namespace sluice {
namespace {

using Bytes = TypeList<int8_t, uint8_t, int16_t, uint16_t>;
using Loadable = TypeList<float, Half, BFloat16, int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t>;

// Bits of an integer type that is packed several to a byte; 0 for others.
int PackedBits(DataType type) {
  switch (type) {
    case DataType::kInt4:
    case DataType::kUInt4:
      return 4;
    case DataType::kInt2:
    case DataType::kUInt2:
      return 2;
    default:
      return 0;
  }
}

bool IsSigned(DataType type) { return type == DataType::kInt4 || type == DataType::kInt2; }

}  // namespace

IntegerRange IntegerRangeOf(DataType type) {
  IntegerRange range;
  if (const int bits = PackedBits(type); bits > 0) {
    const float half = static_cast<float>(1 << (bits - 1));
    return IsSigned(type) ? IntegerRange{true, -half, half - 1} : IntegerRange{true, 0, 2 * half - 1};
  }
  Dispatch(TypeList<int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t>(), type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    range = {true, static_cast<float>(std::numeric_limits<T>::min()),
             static_cast<float>(std::numeric_limits<T>::max())};
  });
  return range;
}

bool IsQuantizedType(DataType type) { return IsNarrow(type) || Contains(Bytes(), type); }

bool IsNarrowFloat(DataType type) { return IsNarrow(type) && PackedBits(type) == 0; }

void StoreNarrowFloats(DataType type, const float* values, bool saturate, int64_t begin, int64_t count,
                       void* data) {
  for (int64_t i = 0; i < count; ++i) {
    StoreNarrowBits(type, data, begin + i, EncodeNarrow(type, values[i], saturate));
  }
}

void LoadAsFloat(DataType type, const void* data, int64_t begin, int64_t count, float* to) {
  if (IsNarrow(type)) {
    for (int64_t i = 0; i < count; ++i) to[i] = DecodeNarrow(type, LoadNarrowBits(type, data, begin + i));
    return;
  }
  Dispatch(Loadable(), type, [&](auto tag) {
    const auto* from = static_cast<const typename decltype(tag)::type*>(data) + begin;
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
  });
}

void StoreFloats(DataType type, const float* from, int64_t begin, int64_t count, void* data) {
  Dispatch(FloatTypes(), type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = static_cast<T*>(data) + begin;
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
  });
}

void StoreQuantized(DataType type, float* values, const float* zero_points, int64_t begin, int64_t count,
                    void* data) {
  const int bits = PackedBits(type);
  if (bits == 0) {
    Dispatch(Bytes(), type, [&](auto tag) {
      using Q = typename decltype(tag)::type;
      Q* to = static_cast<Q*>(data) + begin;
      for (int64_t i = 0; i < count; ++i) to[i] = Requantized<Q>(values[i], zero_points[i]);
    });
    return;
  }
  const IntegerRange range = IntegerRangeOf(type);
  const int per_byte = 8 / bits;
  uint8_t* to = static_cast<uint8_t*>(data) + begin / per_byte;
  for (int64_t i = 0; i < count; i += per_byte, ++to) {
    unsigned byte = 0;
    for (int64_t j = 0; j < std::min<int64_t>(per_byte, count - i); ++j) {
      // int16 holds any sum; the clamp is the type's.
      const auto wide = static_cast<float>(Requantized<int16_t>(values[i + j], zero_points[i + j]));
      const int value = static_cast<int>(std::clamp(wide, range.low, range.high));
      byte |= (static_cast<unsigned>(value) & ((1u << bits) - 1)) << (static_cast<int>(j) * bits);
    }
    *to = static_cast<uint8_t>(byte);
  }
}

}  // namespace sluice
