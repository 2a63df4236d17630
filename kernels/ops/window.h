#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "graph/infer.h"

namespace sluice {

enum class AutoPad : uint8_t { kNotSet, kSameUpper, kSameLower, kValid };

// The sliding window of convolutions and pools: one entry for each spatial axis, outermost first.
struct Window {
  std::vector<int64_t> kernel, strides, dilations, pads_begin, pads_end;
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;

  size_t rank() const { return kernel.size(); }
  // Input positions that the window spans along an axis.
  int64_t span(size_t axis) const { return (kernel[axis] - 1) * dilations[axis] + 1; }
  int64_t kernel_elems() const;
};

// Reads kernel_shape, strides, dilations, pads, auto_pad and ceil_mode of an operator with `spatial`
// spatial axes. `kernel`, where not empty, is what the weights say; kernel_shape may be absent then and
// must agree. Throws Error{kInvalidModel} without the node's name.
Window ReadWindow(const Attributes& attrs, size_t spatial, const std::vector<int64_t>& kernel = {});

// Sets pads_begin and pads_end as auto_pad says for this input, and returns the sizes of the output of a
// convolution or pool. Throws Error{kInvalidModel} where a window does not fit.
std::vector<int64_t> ResolvePads(Window& window, const std::vector<int64_t>& in);

// Sizes of the output where only some of the input's are known.
SymShape InferWindow(const Window& window, const SymShape& in);

// The spatial part of a shape [n, c, ...].
std::vector<int64_t> SpatialOf(const Shape& shape);

// More spatial axes than any model has; positions are kept in arrays of this size.
constexpr size_t kMaxSpatialAxes = 8;
using Position = std::array<int64_t, kMaxSpatialAxes>;

// Moves `at` to the next position, in row-major order, of the box [begin, end); false after the last.
inline bool NextPosition(Position& at, const Position& begin, const Position& end, size_t axes) {
  for (size_t i = axes; i-- > 0;) {
    if (++at[i] < end[i]) return true;
    at[i] = begin[i];
  }
  return false;
}

}  // namespace sluice
