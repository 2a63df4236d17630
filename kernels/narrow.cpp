#include "kernels/narrow.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace sluice {
namespace {

// A float of few bits: sign, exponent, mantissa. Sources: "FP8 Formats for Deep Learning" (2022) for e4m3fn
// and e5m2, "8-bit Numerical Formats for Deep Neural Networks" (2022) for the fnuz ones, OCP Microscaling
// Formats 1.0 for float4e2m1 and float8e8m0.
struct Format {
  int mantissa;
  int bias;
  uint8_t largest;     // bits of the largest finite value
  int infinity;        // bits; -1: none
  int nan;             // bits; -1: none
  bool unsigned_zero;  // no negative zero: its bits are NaN
};

constexpr Format kE4M3FN{3, 7, 0x7e, -1, 0x7f, false};
constexpr Format kE4M3FNUZ{3, 8, 0x7f, -1, 0x80, true};
constexpr Format kE5M2{2, 15, 0x7b, 0x7c, 0x7e, false};
constexpr Format kE5M2FNUZ{2, 16, 0x7f, -1, 0x80, true};
constexpr Format kE2M1{1, 1, 0x07, -1, -1, false};

const Format* FormatOf(DataType type) {
  switch (type) {
    case DataType::kFloat8E4M3FN:
      return &kE4M3FN;
    case DataType::kFloat8E4M3FNUZ:
      return &kE4M3FNUZ;
    case DataType::kFloat8E5M2:
      return &kE5M2;
    case DataType::kFloat8E5M2FNUZ:
      return &kE5M2FNUZ;
    case DataType::kFloat4E2M1:
      return &kE2M1;
    default:
      return nullptr;
  }
}

// Of the bits without the sign.
float Magnitude(const Format& f, int bits) {
  const int exponent = bits >> f.mantissa, fraction = bits & ((1 << f.mantissa) - 1);
  if (exponent == 0) return std::ldexp(static_cast<float>(fraction), 1 - f.bias - f.mantissa);
  return std::ldexp(static_cast<float>(fraction + (1 << f.mantissa)), exponent - f.bias - f.mantissa);
}

float DecodeFloat(const Format& f, DataType type, uint8_t bits) {
  const int sign_bit = type == DataType::kFloat4E2M1 ? 0x08 : 0x80;
  const int magnitude = bits & (sign_bit - 1);
  const bool negative = (bits & sign_bit) != 0;
  if (f.unsigned_zero && bits == 0x80) return std::numeric_limits<float>::quiet_NaN();
  if (f.nan >= 0 && !f.unsigned_zero && magnitude > f.largest && magnitude != f.infinity) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  const float value =
      magnitude == f.infinity ? std::numeric_limits<float>::infinity() : Magnitude(f, magnitude);
  return negative ? -value : value;
}

uint8_t EncodeFloat(const Format& f, DataType type, float value, bool saturate) {
  const int sign_bit = type == DataType::kFloat4E2M1 ? 0x08 : 0x80;
  const int sign = std::signbit(value) ? sign_bit : 0;
  if (std::isnan(value)) return static_cast<uint8_t>(f.nan < 0 ? f.largest : f.unsigned_zero ? f.nan : sign | f.nan);
  const float x = std::abs(value);
  const auto overflow = [&] {
    if (saturate || f.nan < 0) return static_cast<uint8_t>(sign | f.largest);
    if (f.infinity >= 0) return static_cast<uint8_t>(sign | f.infinity);
    return static_cast<uint8_t>(f.unsigned_zero ? f.nan : sign | f.nan);
  };
  // Magnitudes ascend with their bits.
  int low = 0, high = f.largest;
  if (std::isinf(x)) return overflow();
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (Magnitude(f, middle) <= x)
      low = middle;
    else
      high = middle - 1;
  }
  const float below = Magnitude(f, low);
  // Past the largest value the next step decides, as if it were there.
  const float above = Magnitude(f, low + 1);
  const float to_below = x - below, to_above = above - x;
  const bool up = to_above < to_below || (to_above == to_below && low % 2 == 1);
  if (up && low == f.largest) return overflow();
  const int bits = up ? low + 1 : low;
  if (bits == 0 && f.unsigned_zero) return 0;
  return static_cast<uint8_t>(sign | bits);
}

// An exponent alone; 255 is NaN.
float DecodeE8M0(uint8_t bits) {
  return bits == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, bits - 127);
}

uint8_t EncodeE8M0(float value, bool saturate, PowerRounding rounding) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t exponent = bits >> 23 & 0xff, fraction = bits & 0x7fffff;
  if (exponent == 255) return 255;
  // Subnormal floats lie above 2^-127, whose bits are 0: no half of them goes up.
  constexpr uint32_t kHalf = 0x400000;
  const bool up = rounding == PowerRounding::kUp ? fraction > 0
                  : rounding == PowerRounding::kNearest
                      ? fraction > kHalf || (fraction == kHalf && exponent > 0)
                      : false;
  if (exponent == 254 && saturate) return 254;
  return static_cast<uint8_t>(exponent + (up ? 1 : 0));
}

struct IntRange {
  int low, high;
};
IntRange RangeOf(DataType type) {
  switch (type) {
    case DataType::kUInt4:
      return {0, 15};
    case DataType::kInt4:
      return {-8, 7};
    case DataType::kUInt2:
      return {0, 3};
    default:
      return {-2, 1};
  }
}

}  // namespace

bool IsNarrow(DataType type) { return type >= DataType::kFloat8E4M3FN && type <= DataType::kInt2; }

uint8_t LoadNarrowBits(DataType type, const void* data, int64_t i) {
  const int bits = DataTypeBits(type);
  const auto* bytes = static_cast<const uint8_t*>(data);
  const int64_t at = i * bits;
  return static_cast<uint8_t>(bytes[at / 8] >> (at % 8) & ((1 << bits) - 1));
}

void StoreNarrowBits(DataType type, void* data, int64_t i, uint8_t value) {
  const int bits = DataTypeBits(type);
  auto* bytes = static_cast<uint8_t*>(data);
  const int64_t at = i * bits;
  const int shift = static_cast<int>(at % 8), mask = ((1 << bits) - 1) << shift;
  bytes[at / 8] = static_cast<uint8_t>((bytes[at / 8] & ~mask) | (value << shift & mask));
}

Tensor UnpackNarrow(const Tensor& packed) {
  Tensor bytes(DataType::kUInt8, packed.shape());
  auto* const to = static_cast<uint8_t*>(bytes.mutable_data());
  for (int64_t i = 0; i < packed.num_elements(); ++i)
    to[i] = LoadNarrowBits(packed.dtype(), packed.data(), i);
  return bytes;
}

Tensor PackNarrow(DataType type, const Tensor& bytes) {
  Tensor packed(type, bytes.shape());
  if (packed.num_elements() == 0) return packed;
  std::memset(packed.mutable_data(), 0, static_cast<size_t>(packed.byte_size()));
  const auto* const from = static_cast<const uint8_t*>(bytes.data());
  for (int64_t i = 0; i < packed.num_elements(); ++i)
    StoreNarrowBits(type, packed.mutable_data(), i, from[i]);
  return packed;
}

float DecodeNarrow(DataType type, uint8_t bits) {
  if (const Format* format = FormatOf(type)) return DecodeFloat(*format, type, bits);
  if (type == DataType::kFloat8E8M0) return DecodeE8M0(bits);
  const int value = bits, high = RangeOf(type).high;
  return static_cast<float>(value > high ? value - 2 * (high + 1) : value);
}

uint8_t EncodeNarrow(DataType type, float value, bool saturate, PowerRounding rounding) {
  if (const Format* format = FormatOf(type)) return EncodeFloat(*format, type, value, saturate);
  if (type == DataType::kFloat8E8M0) return EncodeE8M0(value, saturate, rounding);
  const IntRange range = RangeOf(type);
  if (std::isnan(value)) return 0;
  const float rounded =
      std::nearbyint(std::clamp(value, static_cast<float>(range.low), static_cast<float>(range.high)));
  return static_cast<uint8_t>(static_cast<int>(rounded) & ((1 << DataTypeBits(type)) - 1));
}

}  // namespace sluice
