#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "sluice/tensor.h"

namespace sluice::tools {

// How far one tensor's numbers are from those of another of the same type and shape. Numbers of which both
// are NaN or the same infinity do not differ; where only one is, errors are infinite.
struct ValueErrors {
  // Counts by distance in representable numbers between the two: none, 1, up to 4, 16, 64, 256, 1024, 4096,
  // more.
  static constexpr std::array<int64_t, 8> kUlpBounds = {0, 1, 4, 16, 64, 256, 1024, 4096};

  int64_t count = 0;
  int64_t not_finite = 0;         // NaN or infinite on both sides, of which no error can tell
  double max_abs = 0;
  double max_rel = 0;             // relative to the larger of the two
  double cosine = 1;              // of the angle between them as vectors; 1 where both are zero
  std::array<int64_t, 9> ulps{};  // of floats; all zero for other types
};

// All zeros for what are no numbers. Requires the same type and shape.
ValueErrors ErrorsOf(const Tensor& got, const Tensor& want);

// "0: 93 %, 1: 5 %, 4: 2 %": shares by upper bound; empty without floats.
std::string FormatUlps(const ValueErrors& errors);

}  // namespace sluice::tools
