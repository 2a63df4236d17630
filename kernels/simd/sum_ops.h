#pragma once

#include <cstdint>

namespace sluice {

// What a convolution does to its sums while they are in registers: y = activation(x + operand), or
// activation(x) + operand.
struct SumOps {
  enum class Activation : uint8_t {
    kNone,
    kClamp,  // min(max(x, low), high); low <= 0 <= high, so that zeros which pad channels stay
    kLeaky,  // x for x >= 0, slope x otherwise; 0 < slope <= 1
  };
  Activation activation = Activation::kNone;
  float low = 0, high = 0, slope = 0;
  const float* operand = nullptr;  // like the output; null for none
  bool operand_first = false;
};

}  // namespace sluice
