#pragma once

#include "kernels/blocked_post_ops.h"
#include "kernels/ops/conv_geometry.h"
#include "kernels/pack_cache.h"
#include "kernels/parallel.h"
#include "kernels/register_ops.h"
#include "kernels/row_kernel.h"
#include "kernels/simd/direct_conv.h"

namespace sluice {

// Convolutions of float images without groups, in the native blocked layout: each sum stays in a register
// from the first tap to the last, or to the last of a chunk of channels whose weights fit the L2 cache.
//
// Outputs are made in runs of neighbours: lines of the output, or of a 1x1 convolution whatever neighbours
// there are. A tile of the step is a range of runs times a range of panels of output channels; no sum is
// split. Padding is made by copying a tile's input to scratch with zeros around it, a chunk of channels at a
// time. A first convolution, of few channels, reads them row-major and has the channels of a line's taps side
// by side.
class ImageConvKernel : public RowKernel {
 public:
  std::string name() const override { return "direct"; }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return bands_ * splits_; }
  int64_t flops() const override { return geometry_.flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override;
  std::optional<RowShape> row_shape() const override;
  int64_t RowScratchBytes(int64_t rows) const override;
  void RunRows(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n,
               Range rows) const override;

 private:
  // Planes of input, in memory or in scratch.
  struct Source {
    const float* data;  // of the first output's first tap of run 0 of the image
    int64_t plane_stride, row_stride;
  };

  // Of a flat image: outputs in runs of whole pieces whose sums fit the registers.
  struct Cut {
    Range outputs;
    int64_t blocks, runs;
  };

  void ChooseTiles();
  void PackWeights(PrepareContext& ctx);
  static Cut CutOf(Range outputs);
  // Outputs [begin, end) of a run, counted along its line or image.
  Range RunOutputs(const Cut& cut, int64_t run) const;
  int64_t InputRows(int64_t runs) const;
  void CopyIn(RowsOf<const float> image, int64_t first_run, int64_t runs, int64_t plane, int64_t planes,
              float* to) const;
  // Runs of image `n`, cut so if it is flat.
  void RunPart(const RunContext& ctx, RowsOf<const float> src, RowsOf<float> dst, int64_t n, const Cut& cut,
               Range runs, Range panels) const;
  void RunPanel(const RunContext& ctx, const SumOps& ops, const Source& source, RowsOf<float> dst, int64_t n,
                const Cut& cut, Range runs, int64_t plane, int64_t planes, int64_t panel) const;

  ConvGeometry geometry_;
  int64_t block_ = 1;
  // Of the input: planes of `depth_` channels side by side, the last one has last_depth_.
  int64_t planes_ = 1, depth_ = 1, last_depth_ = 1;
  bool plain_ = false;                          // row-major input; one plane of all channels in scratch
  bool copies_ = false;                         // input goes through scratch
  bool flat_ = false;                           // runs are not lines
  int64_t taps_ = 1;                            // weights of a channel and output channel
  int64_t line_ = 0;                            // positions of a line in scratch
  int64_t lines_ = 1;                           // of a run, unless flat
  Cut cut_{};                                   // of a flat image as a whole
  int64_t runs_ = 1;                            // of an image
  int64_t bands_ = 1, splits_ = 1, chunk_ = 1;  // pieces of all runs, of the panels; planes of a chunk
  int64_t panels_ = 1;
  RegisterOps register_ops_;
  BlockedPostOps post_ops_;  // those that follow
  PackedWeights packed_, bias_;
};

}  // namespace sluice
