#pragma once

#include "kernels/conv_phases.h"
#include "kernels/pack_cache.h"
#include "kernels/post_ops.h"
#include "kernels/simd/tap_sum.h"
#include "kernels/vector_post_ops.h"

namespace sluice {

// Transposed convolutions of any stride, and convolutions of stride 1, as sums over taps in the native
// blocked layout, with bias and post-ops applied in registers.
//
// A transposed convolution of stride s is s (in two dimensions s * s) phases: outputs p, p + s, p + 2 s, ...
// are a convolution of stride 1 with every s-th tap. Each phase is computed for itself and written to its
// places of the output, so that no zeros are multiplied and nothing is added up in memory.
//
// Positions of long rows are summed in place, from the tensor or, where taps reach beyond the row's ends,
// from a padded copy of the band. Rows that are too short to fill the registers are gathered: each block of
// positions, through rows and images, is copied tap by tap.
//
// Up to four output channels (pictures, sound) are dot products with vectors along the input channels, which
// leave no lanes empty, and are written row-major.
//
// A tile of the step is a band of positions of one image (gathered: of all) times a range of panels of output
// channels; no sum is split.
class TapConvKernel : public Kernel {
 public:
  explicit TapConvKernel(bool transposed) : transposed_(transposed) {}

  std::string name() const override { return transposed_ ? "sub-pixel" : "direct"; }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return bands_ * splits_; }
  int64_t flops() const override { return geometry_.flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override;

 private:
  // Memory of one running tile, in this order: a copy of input, and lists of what is summed.
  struct Buffers {
    float* copy;
    TapBlock* blocks;
    Tap* taps;
    int64_t* positions;

    static int64_t BytesFor(const TapConvKernel& k);
    Buffers(const TapConvKernel& k, std::byte* memory);
  };
  struct Part {  // of the output channels: panels of one group
    int64_t group, first_panel, panels;
  };

  int64_t MostTaps() const;
  void PlaceWeights();
  void PackWeights(PrepareContext& ctx);
  void ChooseTiles();
  Part PartOf(int64_t split) const;
  void RunBand(const RunContext& ctx, int64_t band, const Part& part) const;
  void RunGathered(const RunContext& ctx, int64_t band, const Part& part) const;
  void SumPanels(const RunContext& ctx, const Part& part, const float* src, const TapBlock* blocks,
                 int64_t count) const;
  void ApplyRest(const RunContext& ctx, const Part& part, const TapBlock* blocks, int64_t count) const;
  int64_t PositionsOf(const Phase& phase) const;
  int64_t BlocksOf(const Phase& phase) const;

  const bool transposed_;
  ConvGeometry geometry_;
  ConvPhases shape_;
  int64_t block_ = 8, ic_blocks_ = 1, oc_blocks_ = 1;  // blocks of channels of a group
  int64_t panels_ = 1, width_ = 16, panel_elems_ = 0;  // panels of a group, channels and elements of one
  bool dots_ = false;
  int64_t out_block_ = 8;  // channels in a block of the output
  int64_t bands_ = 1, row_bands_ = 1, col_bands_ = 1, splits_ = 1;
  int64_t min_dy_ = 0, max_dy_ = 0, min_dx_ = 0, max_dx_ = 0;
  bool gathered_ = false, images_first_ = false;
  int64_t max_blocks_ = 0, max_positions_ = 0, max_taps_ = 0, copy_elems_ = 0;
  bool has_bias_ = false;
  VectorPostOps post_ops_;
  PostOpRunner rest_;  // those that follow
  PackedWeights packed_, bias_;
};

class DirectConvKernel : public TapConvKernel {
 public:
  DirectConvKernel() : TapConvKernel(false) {}
};

class SubPixelConvKernel : public TapConvKernel {
 public:
  SubPixelConvKernel() : TapConvKernel(true) {}
};

}  // namespace sluice
