#pragma once

#include "kernels/blocked_post_ops.h"
#include "kernels/ops/conv_geometry.h"
#include "kernels/pack_cache.h"
#include "kernels/register_ops.h"
#include "kernels/row_kernel.h"

namespace sluice {

// Depthwise convolutions of float images, one output channel for each of the input, in the native blocked
// layout, with bias, activation and residual applied in registers. Square kernels and strides of
// HasDepthwise, any padding.
//
// A tile of the step is a range of blocks of channels times a band of rows of one image. Images that are
// large enough are cut into bands and others into ranges of channels, as the 1x1 convolutions around are: so
// a thread finds in its own cache what it has made in the step before.
class DepthwiseKernel : public RowKernel {
 public:
  std::string name() const override { return "depthwise"; }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return geometry_.n * bands_ * splits_; }
  int64_t flops() const override { return geometry_.flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override;
  std::optional<RowShape> row_shape() const override;
  int64_t RowScratchBytes(int64_t) const override { return 0; }
  void RunRows(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n,
               Range rows) const override;

 private:
  void ChooseTiles();
  void PackWeights(PrepareContext& ctx);
  void RunPart(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n, Range rows,
               Range blocks) const;

  ConvGeometry geometry_;
  int64_t block_ = 8, blocks_ = 1;
  int64_t bands_ = 1, splits_ = 1;  // of an image's rows, of the blocks of channels
  RegisterOps register_ops_;
  BlockedPostOps post_ops_;  // those that follow
  PackedWeights packed_, bias_;
};

}  // namespace sluice
