#pragma once

#include <cstdint>

#include "kernels/simd/sum_ops.h"

namespace sluice {

// Direct convolution of one run of outputs, neighbours along a line, for one panel of output channels. All
// strides are in floats.
struct DirectConvRun {
  // Input of the first output's first tap. Channels lie in `planes` planes; of each, `depth` channels are
  // side by side at every position, in the last plane `last_depth`.
  const float* src;
  int64_t planes, depth, last_depth, plane_stride;
  int64_t kh, kw, row_stride, col_stride;  // taps, and from one to the next
  int64_t step;                            // from one output's inputs to the next one's
  // Added to it between the halves of a run that is two lines; 0 otherwise. Such a run fits the registers.
  int64_t gap;
  // [plane][row][column][channel][channel of the panel], 64-byte aligned.
  const float* weights;
  // Of the panel's channels; null for zeros. Not read when `resume`.
  const float* bias;
  // Output i, vector v of the panel: dst + i * dst_step + v * dst_vector.
  float* dst;
  int64_t dst_step, dst_vector;
  int64_t count;    // outputs
  int64_t vectors;  // of the panel that count, 1 or 2
  bool resume;      // sums go on from what dst holds
  // As many weights as these that are fetched on the way, from memory or a slower cache: evenly in
  // `ahead_passes` passes over these weights, one for each DirectConvOutputs(), of which `ahead_done` came
  // before this run. Null: nothing.
  const float* ahead;
  int64_t ahead_passes, ahead_done;
  SumOps ops;  // the operand is where dst is
};

// Output channels of a panel: two vectors.
int64_t DirectConvPanel();
// Outputs of a run whose sums fit the registers; multiples of it are best.
int64_t DirectConvOutputs();
void RunDirectConv(const DirectConvRun& run);

// dst[i, c] = src[c * stride + i], i < n, c < channels.
void InterleaveFloats(const float* src, int64_t stride, int64_t channels, int64_t n, float* dst);

}  // namespace sluice
