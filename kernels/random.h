#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace sluice {

// Random numbers by index: number i of a seed is the same whoever asks for it, so that pieces of a tensor can
// be drawn in any order. Not for secrets.
class RandomNumbers {
 public:
  explicit RandomNumbers(uint64_t seed) : seed_(Mix(seed)) {}
  // With a seed that no earlier call had.
  static RandomNumbers Fresh();

  uint64_t Bits(uint64_t i) const { return Mix(seed_ + (i + 1) * 0x9e3779b97f4a7c15u); }
  // In [0, 1), all 53 bits random.
  double Uniform(uint64_t i) const { return static_cast<double>(Bits(i) >> 11) * 0x1p-53; }
  // Mean 0, variance 1.
  double Normal(uint64_t i) const {
    const double radius = std::sqrt(-2 * std::log(1 - Uniform(2 * i)));
    return radius * std::cos(2 * std::numbers::pi * Uniform(2 * i + 1));
  }

 private:
  // The finalizer of SplitMix64: a bijection in which every bit of x reaches every bit of the result.
  static uint64_t Mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  uint64_t seed_;
};

}  // namespace sluice
