#pragma once

#include "kernels/ops/conv_geometry.h"

namespace sluice {

// The arithmetic of every convolution without oneDNN, in the type of the sums: float, double or int32.
// A tile is one image, one group and some of its output channels.
class PlainConv {
 public:
  PlainConv() = default;
  explicit PlainConv(ConvGeometry geometry);

  const ConvGeometry& geometry() const { return geometry_; }
  int64_t tiles() const { return geometry_.n * geometry_.groups * pieces_; }
  // Of scratch, for sums of `sum_bytes` bytes.
  int64_t scratch_bytes(int64_t sum_bytes) const;

  // load_src(n, first channel, channels, Sum* to): [channels, in...].
  // load_weights(oc, Sum* to): [ic per group, kernel...] of one output channel.
  // store(n, oc, Sum* sums): takes [out...], the sums without bias; may change them.
  template <typename Sum, typename LoadSrc, typename LoadWeights, typename Store>
  void RunTile(int64_t tile, Sum* scratch, const LoadSrc& load_src, const LoadWeights& load_weights,
               const Store& store) const {
    const TileOf part = Locate(tile);
    const int64_t icg = geometry_.ic_per_group();
    Sum* src = scratch;
    Sum* weights = src + src_elems_;
    Sum* sums = weights + weights_elems_;
    load_src(part.n, part.group * icg, icg, src);
    for (int64_t oc = part.oc_begin; oc < part.oc_end; ++oc) {
      load_weights(oc, weights);
      std::fill(sums, sums + out_elems_, Sum(0));
      Accumulate(src, weights, sums);
      store(part.n, oc, sums);
    }
  }

 private:
  struct TileOf {
    int64_t n, group, oc_begin, oc_end;
  };
  TileOf Locate(int64_t tile) const;
  // sums += src (*) weights.
  void Accumulate(const float* src, const float* weights, float* sums) const;
  void Accumulate(const double* src, const double* weights, double* sums) const;
  void Accumulate(const int32_t* src, const int32_t* weights, int32_t* sums) const;

  ConvGeometry geometry_;
  int64_t pieces_ = 1;
  int64_t src_elems_ = 0, weights_elems_ = 0, out_elems_ = 0;
};

}  // namespace sluice
