#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sluice/tensor.h"

namespace sluice::tools {

// A number passes when |got - want| <= atol + rtol |want|; NaN equals NaN and an infinity equals
// itself alone. Integers, booleans, strings and the 8-bit and smaller floats must be the same exactly.
struct Tolerance {
  // Unless given: 1e-3 (float16, bfloat16: 1e-2).
  std::optional<double> rtol = std::nullopt;
  // Unless given: 1e-4 (float16, bfloat16: 1e-3) times the largest finite magnitude expected.
  std::optional<double> atol = std::nullopt;
  // The ONNX backend suite's own rule: 1e-3 and 1e-7 for every floating-point type.
  bool strict = false;
};

struct Comparison {
  bool equal = true;
  // Of all numbers, infinite where only one side is NaN or infinite; 0 without numbers.
  double largest_error = 0;
  // Why not equal: types, shapes, or how many values differ and where the worst is.
  std::string message;
};

Comparison Compare(const Value& got, const Value& want, const Tolerance& tolerance);
// Types and shapes alone, for outputs of which nobody can state the elements (ValueInfo::is_random).
Comparison CompareKinds(const Value& got, const Value& want);

// Of the value's type, shape and bits, continuing `digest`: results that differ in a bit have, but for a
// chance of 2^-64, different digests.
uint64_t Digest(const Value& value, uint64_t digest = 0);

}  // namespace sluice::tools
