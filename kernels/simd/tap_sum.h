#pragma once

#include <cstdint>

#include "kernels/simd/vector_ops.h"

namespace sluice {

// Sums over taps and input channels, the inner part of every convolution:
//   dst[p][c] = ops(bias[c] + sum over taps t and channels i of src[p + t][i] * weights[t][i][c])
// for positions p that follow each other in src, where all of them have the same taps.

// One tap, in elements from the first position of src and from the beginning of a panel of weights.
struct Tap {
  int64_t src, weights;
};

// Up to TapRows() positions.
struct TapBlock {
  int64_t src;  // elements from TapSum's src to the first position
  const Tap* taps;
  int64_t num_taps;
  int64_t src_step;    // elements between blocks of channels
  const int64_t* dst;  // where each position is in dst
  int count;
};

struct TapSum {
  int64_t block = 8;  // channels in a block of src and dst: 8 or 16
  int64_t ic_blocks = 0;
  const float* src = nullptr;  // [channels / block][position][block]
  int64_t dst_step = 0;        // elements between dst's blocks of channels
  // Of dst from the panel's first on: with the last block's padding, and without it.
  int64_t channels = 0, valid = 0;
  const float* weights = nullptr;  // of one panel: [tap][ic][channel of the panel]
  const float* bias = nullptr;     // from the panel's first channel on, a whole panel; may be null
  const VectorOp* ops = nullptr;   // operands from the panel's first channel on
  int num_ops = 0;
  float* dst = nullptr;  // of the panel's first channel
};

// Positions that a block may have, and the least number that still keeps the multipliers busy.
int64_t TapRows();
int64_t TapLeastRows();
// Output channels of a panel of weights.
int64_t TapPanel();

void SumTaps(const TapSum& sum, const TapBlock* blocks, int64_t num_blocks);

// The same for a few channels, 1 to kMostDotChannels, with vectors along the input's channels: dst is
// row-major, weights are [tap][ic block][channel][ic of the block].
constexpr int64_t kMostDotChannels = 4;
void DotTaps(const TapSum& sum, const TapBlock* blocks, int64_t num_blocks);

}  // namespace sluice
