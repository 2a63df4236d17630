#pragma once

#include <cstdint>

#include "kernels/simd/vector_ops.h"

namespace sluice {

// Winograd's short convolutions F(4, r) along one or two axes, r = 2, 3 or 4 taps, in a blocked layout: the
// transforms. Products of the transformed elements are SumTaps's. Source: Lavin and Gray (2015); the matrices
// are those of Toom and Cook for the points 0, 1, -1, 1/2, -2, -1/2 and infinity, the first r + 2 of them
// and infinity.
//
// A tile is 4 outputs along each axis that is transformed and reads r + 3 inputs; elements of a tile are
// counted row by row. Neighbours along an axis may be some positions apart.
struct ShortWinograd {
  int ry = 1, rx = 3;              // taps; ry is 1 (rows are not transformed) or rx
  int64_t block = 8;               // channels in a block
  int64_t step_y = 1, step_x = 1;  // positions between a tile's inputs
  int64_t ih = 0, iw = 0;

  int my() const { return ry == 1 ? 1 : 4; }
  static constexpr int mx() { return 4; }
  int ny() const { return ry == 1 ? 1 : ry + 3; }
  int nx() const { return rx + 3; }
  int elems() const { return ny() * nx(); }
};

struct ShortTile {
  int64_t src;     // elements from src to its image
  int64_t y, x;    // of its first input, which may be outside
  int64_t dst;     // elements from dst to its first output
  int rows, cols;  // outputs that exist
};

// v[element * elem_step + (block of channels * count + tile) * block + c] of `blocks` blocks of channels that
// are src_step elements apart, for `count` tiles; zeros are around the image.
void ShortInput(const ShortWinograd& w, const float* src, int64_t src_step, int64_t blocks,
                const ShortTile* tiles, int64_t count, int64_t elem_step, float* v);

// From products[element * elem_step + tile * block + c], c < channels: dst = ops(A^T products A + bias).
// Outputs of a tile are row_step and col_step elements apart. bias, operands and dst begin at the first
// channel; `channels` fill vectors and are at most a block.
void ShortOutput(const ShortWinograd& w, const float* products, int64_t elem_step, const ShortTile* tiles,
                 int64_t count, int64_t channels, int64_t valid, const float* bias, const VectorOp* ops,
                 int num_ops, int64_t row_step, int64_t col_step, float* dst);

// u[element][l] = G weights[tap][l] G^T for so many kernels at once; the taps are ry x rx.
constexpr int kShortKernels = 8;
using ShortLanes = double[kShortKernels];
void ShortWeights(const ShortWinograd& w, const ShortLanes* weights, ShortLanes* u);

}  // namespace sluice
