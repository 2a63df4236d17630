#pragma once

#include "kernels/kernel.h"
#include "kernels/ops/window.h"
#include "kernels/simd/pool.h"

namespace sluice {

// A pool over sliding windows of a tensor [n, c, spatial...].
struct PoolGeometry {
  int64_t planes = 0;  // n * c
  std::vector<int64_t> in, out;
  Window window;
  bool empty = false;  // the output has no elements, and `taps` none

  // Of every spatial axis, for every position of the output along it.
  std::vector<std::vector<PoolTaps>> taps;

  int64_t in_elems() const { return NumElements(in); }
  int64_t out_elems() const { return NumElements(out); }
  // Some window lies in the padding as a whole.
  bool has_empty_windows() const;
};

// Reads the attributes of MaxPool, AveragePool and LpPool; one window over everything for the global pools
// (`whole`). Throws Error{kInvalidModel} without the node's name.
PoolGeometry PoolGeometryOf(const PrepareContext& ctx, bool whole);

}  // namespace sluice
