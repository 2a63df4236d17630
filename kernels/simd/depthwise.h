#pragma once

#include <cstdint>

#include "kernels/simd/sum_ops.h"

namespace sluice {

// Depthwise convolution of one block of channels: some rows of its output plane.
struct DepthwiseRun {
  int64_t block = 8;           // channels: 8 or 16, not less than a vector has
  const float* src = nullptr;  // [ih, iw, block]
  int64_t ih = 0, iw = 0;
  float* dst = nullptr;  // [rows of the output, ow, block], from the plane's first row on
  int64_t ow = 0;
  int64_t pad_top = 0, pad_left = 0;
  int64_t row = 0, rows = 0;
  const float* weights = nullptr;  // [kernel, kernel, block], 64-byte aligned
  const float* bias = nullptr;     // [block], or null
  SumOps ops;                      // the operand from the plane's first row on
};

// Whether there is code for square kernels of this size at this stride, the same in both directions.
bool HasDepthwise(int64_t kernel, int64_t stride);
void RunDepthwise(int64_t kernel, int64_t stride, const DepthwiseRun& run);

}  // namespace sluice
