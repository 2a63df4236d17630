#pragma once

#include <cstdint>

#include "kernels/fold.h"

namespace sluice {

// Of one window along one axis: the taps [begin, end) lie inside the input, `counted` of them count for an
// average.
struct PoolTaps {
  int64_t begin, end, counted;
};

// One row of a pool's output, along the last spatial axis. The elements are vectors of `lanes` floats side by
// side: 1 in row-major order, a block of channels or all channels in the other layouts.
struct PoolRow {
  // Where the input rows that the windows meet start, relative to src, in floats.
  const int64_t* rows;
  int64_t num_rows;
  // Of each output position along the row. None is empty.
  const PoolTaps* taps;
  int64_t width;
  int64_t kernel, stride, dilation, pad;
  int64_t lanes;
  // What the average of one window along the other axes counts; 0: no average is taken.
  int64_t counted;
  // The result is the square root.
  bool root;
};

// dst[x, lane] from the elements of src under window x. `fold` is kMax (NaN wins), kSum, kSumAbs or
// kSumSquare; sums are in float.
void PoolFloats(Fold fold, const float* src, const PoolRow& row, float* dst);

}  // namespace sluice
