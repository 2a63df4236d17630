#pragma once

#include "kernels/kernel.h"
#include "kernels/ops/window.h"

namespace sluice {

// What Conv, ConvTranspose and their integer forms compute, all sizes known.
struct ConvGeometry {
  bool transposed = false;
  int64_t n = 0, groups = 1, ic = 0, oc = 0;  // channels over all groups
  std::vector<int64_t> in, out;               // spatial sizes
  Window window;                              // pads resolved

  int64_t ic_per_group() const { return ic / groups; }
  int64_t oc_per_group() const { return oc / groups; }
  int64_t in_elems() const { return NumElements(in); }
  int64_t out_elems() const { return NumElements(out); }
  // Multiplications and additions.
  int64_t flops() const;
};

// Inference of Conv, ConvInteger, QLinearConv: `weights` and `bias` are input numbers, bias -1 for none.
SymShape InferConvShape(InferContext& ctx, int weights, int bias);
ConvGeometry ConvGeometryOf(const PrepareContext& ctx, int weights = 1);

SymShape InferConvTransposeShape(InferContext& ctx);
ConvGeometry ConvTransposeGeometryOf(const PrepareContext& ctx);

}  // namespace sluice
