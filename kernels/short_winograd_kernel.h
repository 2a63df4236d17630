#pragma once

#include "kernels/conv_phases.h"
#include "kernels/pack_cache.h"
#include "kernels/simd/short_winograd.h"
#include "kernels/simd/tap_sum.h"
#include "kernels/vector_post_ops.h"

namespace sluice {

// Convolutions of stride 1 along one axis, and the phases of transposed convolutions along one or two axes,
// by Winograd's F(4, r) in the native blocked layout, with bias and post-ops applied in registers. Declines
// where the cost model expects plain sums to be as fast.
//
// r is the number of taps up to 4. Along one axis, more taps are cut into groups of 4: a group reads what the
// next tile of the first group reads, so that the input is transformed once and the groups' products add up
// like a convolution over tiles. Dilated taps have tiles of positions as far apart.
//
// Errors stay below 5e-5 of the largest output. A NaN or an infinity in the input spoils all outputs of the
// tiles that read it, not only those of the windows that it is in.
//
// A tile of the step is a band of Winograd tiles times a range of panels of output channels; no sum is split.
class ShortWinogradKernel : public Kernel {
 public:
  explicit ShortWinogradKernel(bool transposed) : transposed_(transposed) {}

  std::string name() const override { return "winograd 4, " + std::to_string(form_.rx); }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return bands_ * splits_; }
  int64_t flops() const override { return geometry_.flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override;

 private:
  // Taps of one phase: the first input position from the output's number, and positions in the kernel by
  // [row][column], -1 for none.
  struct PhaseTaps {
    int64_t dy = 0, dx = 0;
    std::vector<int64_t> kernel;
  };
  struct Buffers;

  void TakeTaps(PrepareContext& ctx);
  void ChooseBands(PrepareContext& ctx);
  void PackWeights(PrepareContext& ctx);
  void PackKernels(const float* weights, int64_t apart, int64_t count, int64_t step, float* packed) const;
  ShortTile TileAt(const Phase& phase, const PhaseTaps& taps, int64_t n, int64_t row, int64_t residue,
                   int64_t col) const;
  int64_t ListTiles(size_t phase, int64_t band, ShortTile* tiles, TapBlock* blocks,
                    int64_t* num_blocks) const;
  void RunPhase(const RunContext& ctx, size_t phase, int64_t band, int64_t first_panel, int64_t panels) const;

  const bool transposed_;
  ConvGeometry geometry_;
  ConvPhases shape_;
  std::vector<PhaseTaps> taps_;
  ShortWinograd form_;
  int64_t groups_ = 1;  // of taps
  int64_t block_ = 8, ic_blocks_ = 1, oc_blocks_ = 1, panels_ = 1;
  int64_t tile_rows_ = 1, residues_ = 1, tile_cols_ = 1;  // tiles of an image's phase: their product
  int64_t bands_ = 1, bands_of_line_ = 1, splits_ = 1;
  int64_t band_tiles_ = 0,
          band_blocks_ = 0;  // at most, of a band; the tiles that only later groups read included
  bool has_bias_ = false;
  VectorPostOps post_ops_;
  PackedWeights packed_, bias_;
};

class ShortConvKernel : public ShortWinogradKernel {
 public:
  ShortConvKernel() : ShortWinogradKernel(false) {}
};

class ShortTransposedConvKernel : public ShortWinogradKernel {
 public:
  ShortTransposedConvKernel() : ShortWinogradKernel(true) {}
};

}  // namespace sluice
