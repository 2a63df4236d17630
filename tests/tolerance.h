#pragma once

#include <cmath>
#include <cstdint>

#include "sluice/data_type.h"

namespace sluice::test {

// Unit in the last place of 1.
inline double EpsilonOf(DataType type) {
  switch (type) {
    case DataType::kFloat: return 0x1p-23;
    case DataType::kDouble: return 0x1p-52;
    case DataType::kFloat16: return 0x1p-10;
    case DataType::kBFloat16: return 0x1p-7;
    default: return 0;
  }
}

struct Tolerance {
  double atol, rtol;
};

// For a sum of `length` products of magnitude `scale`, added in any order in the type's arithmetic type
// (float for the 16-bit types), and the result rounded to the type. The partial sums grow like
// sqrt(length) and so do their rounding errors' number; twice that bound.
inline Tolerance SumTolerance(DataType type, int64_t length, double scale = 1) {
  const double sum = EpsilonOf(type == DataType::kDouble ? type : DataType::kFloat);
  return {scale * sum * (8 + 2 * static_cast<double>(length)), 4 * EpsilonOf(type)};
}

}  // namespace sluice::test
