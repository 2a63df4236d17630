#pragma once

#include <vector>

#include "kernels/ops/conv_geometry.h"

namespace sluice {

// One spatial axis of a convolution.
struct ConvAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0;
};

struct PhaseTap {
  int64_t dy, dx;       // of the input position, from the output's number in its phase
  int64_t kernel;       // position in the kernel, row-major
  int64_t weights = 0;  // where a kernel that packs them finds its weights
};

// Outputs (row + i * y.stride, col + j * x.stride) of a transposed convolution for i < rows and j < cols: a
// convolution of stride 1. A convolution of stride 1 has one phase, that is all of it.
struct Phase {
  int64_t row, col, rows, cols;
  std::vector<PhaseTap> taps;
};

struct ConvPhases {
  // Rows and columns; a single spatial axis is columns.
  ConvAxis y, x;
  std::vector<Phase> phases;
};

// Of one or two spatial axes; of a convolution that is not transposed the strides are 1.
ConvPhases PhasesOf(const ConvGeometry& g);

// The taps of one axis's outputs p, p + stride, ...: position in the kernel and offset of the input.
struct AxisTap {
  int64_t kernel, offset;
};
std::vector<AxisTap> AxisTaps(const ConvAxis& axis, bool transposed, int64_t p);

}  // namespace sluice
