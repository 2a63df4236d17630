#pragma once

#include "kernels/ops/params.h"

namespace sluice {

// The elements before, at and after one axis of a row-major shape; the whole as one axis where asked.
struct AxisSplit {
  int64_t outer = 1, size = 1, inner = 1;
};
template <typename Context>
AxisSplit SplitAt(const Context& ctx, const Shape& shape, bool whole, int64_t axis) {
  AxisSplit s;
  if (whole) return {1, NumElements(shape), 1};
  axis = CheckedAxis(ctx, axis, static_cast<int64_t>(shape.size()));
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) {
    (i < axis ? s.outer : i == axis ? s.size : s.inner) *= shape[static_cast<size_t>(i)];
  }
  return s;
}

}  // namespace sluice
