#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace sluice {

// IEEE 754 binary16 stored in 16 bits; arithmetic happens in float, results round to nearest even.
class Half {
 public:
  Half() = default;
  Half(float value) : bits_(FromFloat(value)) {}  // NOLINT: rounds, as float does from double
  operator float() const { return ToFloat(bits_); }  // NOLINT: exact
  static Half FromBits(uint16_t bits) {
    Half half;
    half.bits_ = bits;
    return half;
  }
  uint16_t bits() const { return bits_; }

 private:
  static uint16_t FromFloat(float value) {
    const uint32_t x = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (x >> 16) & 0x8000u, magnitude = x & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);       // NaN
    if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);      // rounds to inf
    if (magnitude < 0x38800000u) {                                                   // subnormal
      // Adding 0.5 lines the rounding position up with float's own.
      const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
      return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
    }
    const uint32_t odd = (magnitude >> 13) & 1;
    return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
  }
  static float ToFloat(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    const uint32_t magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
    if (magnitude >= 0x0400u) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
  }

  uint16_t bits_ = 0;
};

// The upper half of a float; rounds to nearest even.
class BFloat16 {
 public:
  BFloat16() = default;
  BFloat16(float value) : bits_(FromFloat(value)) {}  // NOLINT: rounds
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits_) << 16); }  // NOLINT
  static BFloat16 FromBits(uint16_t bits) {
    BFloat16 value;
    value.bits_ = bits;
    return value;
  }
  uint16_t bits() const { return bits_; }

 private:
  static uint16_t FromFloat(float value) {
    const uint32_t x = std::bit_cast<uint32_t>(value);
    if ((x & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((x >> 16) | 0x40u);
    return static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1)) >> 16);
  }

  uint16_t bits_ = 0;
};

}  // namespace sluice
