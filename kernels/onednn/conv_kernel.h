#pragma once

#include <memory>

#include "kernels/onednn/conv.h"
#include "kernels/ops/conv_geometry.h"
#include "kernels/pack_cache.h"
#include "kernels/post_ops.h"

namespace sluice::onednn {

// Scratch is booked in floats, whole lines of the cache.
constexpr int64_t RoundUp16(int64_t elems) { return (elems + 15) / 16 * 16; }
constexpr int64_t FloatsOf(int64_t bytes) { return RoundUp16((bytes + 3) / 4); }

// Conv and ConvTranspose of float tensors of rank 3 to 5 through oneDNN, one primitive a tile.
//
// Tiles are images, or ranges of channels of one image, or (convolutions only) bands of output rows of
// those; a row is one position of the first spatial axis. In our blocked layouts ranges of channel
// blocks are dense; bands are copied to scratch, with the padding rows in them as zeros, and back. No
// tile splits a sum. All tiles of a step take at most eight distinct primitives. Post-ops that oneDNN does
// not have follow on the tile just computed.
class ConvKernel : public Kernel {
 public:
  explicit ConvKernel(bool transposed) : transposed_(transposed) {}

  std::string name() const override { return "oneDNN conv " + implementation_; }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return static_cast<int64_t>(tiles_.size()); }
  int64_t flops() const override { return geometry_.flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override;

 private:
  // Where a tile is in the whole.
  struct Tile {
    size_t primitive;
    int64_t n, oc, ic, row, rows;
    int64_t weights_offset;  // elements of the plain weights
    int64_t packed_offset;   // bytes of the packed ones
  };
  // One of the distinct primitives with what it needs.
  struct Variant {
    int64_t n, channels_in, channels_out, groups, rows;
    std::shared_ptr<const ConvPrimitive> primitive;
  };
  // A tensor as planes of rows.
  struct Planes {
    int64_t channels_per_plane = 1;  // 0: all of them
    int64_t rows = 1, row_elems = 1;
    int64_t count(int64_t channels) const {
      return channels_per_plane == 0 ? 1 : (channels + channels_per_plane - 1) / channels_per_plane;
    }
    int64_t plane_elems() const { return rows * row_elems; }
  };

  struct Split {
    int64_t images, channels, bands;  // pieces
    int64_t unit;                     // channels are cut at multiples of it
  };

  bool ChooseLayouts(PrepareContext& ctx, std::string* reason);
  void DropWrongPostOps(PrepareContext& ctx, std::string* reason);
  std::shared_ptr<const ConvPrimitive> MakePrimitive(int64_t n, int64_t ic, int64_t oc, int64_t groups,
                                                     int64_t rows, bool banded, std::string* reason) const;
  Split ChooseSplit() const;
  void MakeTiles(const Split& split, std::string* reason);
  size_t VariantOf(int64_t n, int64_t ic, int64_t oc, int64_t groups, int64_t rows, std::string* reason);
  void PackWeights(PrepareContext& ctx);
  Planes PlanesOf(Layout layout, int64_t channels, const std::vector<int64_t>& spatial) const;
  int64_t BandInputRows(int64_t rows) const;
  void RunBand(const RunContext& ctx, const Tile& tile, const float* src, const void* weights,
               const float* bias, float* dst, std::span<const void* const> operands, float* scratch) const;

  void ApplyRest(const RunContext& ctx, const Tile& tile) const;

  const bool transposed_;
  std::string implementation_;
  ConvGeometry geometry_;
  Layout src_layout_ = Layout::kPlain, dst_layout_ = Layout::kPlain;
  bool has_bias_ = false, banded_ = false;
  std::vector<FusedOp> post_ops_;
  PostOpRunner rest_;  // what oneDNN cannot fuse
  std::vector<Variant> variants_;
  std::vector<Tile> tiles_;
  Planes src_planes_, dst_planes_;
  PackedWeights packed_;  // null: packed in Run
  // Floats of scratch: packed weights and their packing, the primitive's, the bands.
  int64_t weights_scratch_ = 0, primitive_scratch_ = 0, src_scratch_ = 0, dst_scratch_ = 0;
};

class ForwardConvKernel : public ConvKernel {
 public:
  ForwardConvKernel() : ConvKernel(false) {}
};

class TransposedConvKernel : public ConvKernel {
 public:
  TransposedConvKernel() : ConvKernel(true) {}
};

}  // namespace sluice::onednn
