#pragma once

#include "kernels/ops/conv_geometry.h"
#include "kernels/pack_cache.h"
#include "kernels/simd/winograd.h"
#include "kernels/vector_post_ops.h"

namespace sluice {

// Convolutions of 3x3 to 5x5 with stride 1 or 2 by Winograd's F(2x2), F(4x4) or, if Accuracy is kFast,
// F(6x6), in the native blocked layout, with bias and the usual post-ops applied to each tile while it is in
// registers. Declines where the cost model expects a direct convolution to be as fast, unless it is to be
// measured.
//
// On AVX-512 a dozen tiles and less are of F(5x5), whose weights are transformed anew in every run ("late"): they are
// read once, and as they are instead of 1.8 to 4 times as many.
//
// Errors stay below 5e-5 of the largest output. A NaN or an infinity in the input spoils all outputs of the
// Winograd tiles that read it, not only those of the windows that it is in.
//
// A tile of the step is a group of Winograd tiles times a range of panels of output channels; no sum is
// split. A group is as large as half of the L2 cache holds of transformed input.
class WinogradKernel : public Kernel {
 public:
  std::string name() const override {
    const std::string m = std::to_string(shape_.m);
    return "winograd " + m + "x" + m + (shape_.late ? " late" : "");
  }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return groups_ * splits_; }
  int64_t flops() const override { return geometry_.flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override { RunTogether(ctx, tile, 1); }
  // Those of a group: they transform the same input.
  int64_t together() const override { return splits_; }
  void RunTogether(const RunContext& ctx, int64_t first, int64_t count) const override;

 private:
  // How one form of the algorithm would run.
  struct Candidate {
    WinogradShape shape;
    int64_t groups = 0, group_tiles = 0, splits = 1;
    double cost = 0;  // in floating-point operations at full speed
  };
  Candidate Estimate(int m, Layout layout) const;
  void PackWeights(PrepareContext& ctx);

  ConvGeometry geometry_;
  WinogradShape shape_;
  int64_t groups_ = 0, group_tiles_ = 0, splits_ = 1;
  int64_t image_tiles_ = 0;
  bool has_bias_ = false;
  VectorPostOps post_ops_;
  PackedWeights packed_, bias_;
};

}  // namespace sluice
