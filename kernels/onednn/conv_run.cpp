#include <algorithm>
#include <cstring>

#include "kernels/onednn/conv_kernel.h"
#include "kernels/onednn/threading.h"

namespace sluice::onednn {
namespace {

// Rows [first, first + count) of every plane, zeros where there is no such row.
void CopyRowsIn(const float* from, int64_t planes, int64_t plane_rows, int64_t row_elems, int64_t first,
                int64_t count, float* to) {
  const int64_t begin = std::clamp<int64_t>(first, 0, plane_rows);
  const int64_t end = std::clamp<int64_t>(first + count, begin, plane_rows);
  for (int64_t p = 0; p < planes; ++p) {
    float* plane = to + p * count * row_elems;
    const int64_t before = std::min(begin - first, count);
    std::fill(plane, plane + before * row_elems, 0.0f);
    std::memcpy(plane + before * row_elems, from + (p * plane_rows + begin) * row_elems,
                static_cast<size_t>((end - begin) * row_elems) * sizeof(float));
    std::fill(plane + (before + end - begin) * row_elems, plane + count * row_elems, 0.0f);
  }
}

}  // namespace

void ConvKernel::Run(const RunContext& ctx, int64_t index) const {
  const SingleThreaded single_threaded;
  const Tile& tile = tiles_[static_cast<size_t>(index)];
  const Variant& v = variants_[tile.primitive];
  const ConvGeometry& g = geometry_;
  float* scratch = ctx.scratch<float>();

  const void* weights = nullptr;
  if (packed_) {
    weights = static_cast<const std::byte*>(packed_->data()) + tile.packed_offset;
  } else {
    v.primitive->PackWeights(ctx.in<float>(1) + tile.weights_offset, scratch,
                             scratch + FloatsOf(v.primitive->packed_bytes()));
    weights = scratch;
  }
  scratch += weights_scratch_;

  // Offsets of the tile's first image and channel; ranges of channels begin at a plane.
  const auto offset = [&](const Planes& planes, int64_t channels, int64_t first) {
    const int64_t skipped = planes.channels_per_plane == 0 ? 0 : first / planes.channels_per_plane;
    return (tile.n * planes.count(channels) + skipped) * planes.plane_elems();
  };
  const float* src = ctx.in<float>(0) + offset(src_planes_, g.ic, tile.ic);
  const int64_t dst_offset = offset(dst_planes_, g.oc, tile.oc);
  float* dst = ctx.out<float>(0) + dst_offset;
  const float* bias = has_bias_ ? ctx.in<float>(2) + tile.oc : nullptr;
  std::array<const void*, 32> operands;
  size_t count = 0;
  for (const FusedOp& fused : post_ops_) {
    if (fused.reach == FusedOp::Reach::kNone) continue;
    const int64_t at = fused.reach == FusedOp::Reach::kFull      ? dst_offset
                       : fused.reach == FusedOp::Reach::kChannel ? tile.oc
                                                                 : 0;
    operands[count++] = ctx.in<float>(fused.op.operand) + at;
  }
  const std::span<const void*> used(operands.data(), count);
  if (banded_) {
    RunBand(ctx, tile, src, weights, bias, dst, used, scratch);
  } else {
    v.primitive->Execute(src, weights, bias, dst, used, scratch);
  }
  if (!rest_.empty()) ApplyRest(ctx, tile);
}

// On the tile's part of dst, which the caches still hold.
void ConvKernel::ApplyRest(const RunContext& ctx, const Tile& tile) const {
  const Variant& v = variants_[tile.primitive];
  int64_t row_pixels = 1;
  for (size_t i = 1; i < geometry_.out.size(); ++i) row_pixels *= geometry_.out[i];
  const int64_t pixels = tile.rows * row_pixels, first = tile.row * row_pixels;
  const int64_t width = dst_planes_.channels_per_plane == 0 ? geometry_.oc : dst_planes_.channels_per_plane;
  const int64_t planes = dst_planes_.count(geometry_.oc);
  for (int64_t n = tile.n; n < tile.n + v.n; ++n) {
    for (int64_t c = tile.oc; c < tile.oc + v.channels_out; c += width) {
      float* values =
          ctx.out<float>(0) + (n * planes + c / width) * dst_planes_.plane_elems() + first * width;
      const int64_t channels = std::min(width, geometry_.oc - c);
      rest_.Apply(ctx, values,
                  width == 1
                      ? rest_.Lines((n * geometry_.oc + c) * dst_planes_.rows * row_pixels + first, pixels)
                      : rest_.Block(n, c, channels, first, pixels, width));
    }
  }
}

void ConvKernel::RunBand(const RunContext&, const Tile& tile, const float* src, const void* weights,
                         const float* bias, float* dst, std::span<const void* const> operands,
                         float* scratch) const {
  const Variant& v = variants_[tile.primitive];
  const Window& w = geometry_.window;
  float* primitive_scratch = scratch;
  float* src_band = primitive_scratch + primitive_scratch_;
  float* bands = src_band + src_scratch_;
  CopyRowsIn(src, src_planes_.count(v.channels_in), src_planes_.rows, src_planes_.row_elems,
             tile.row * w.strides[0] - w.pads_begin[0], BandInputRows(tile.rows), src_band);

  // With a single plane the band lies dense in dst as it is.
  const int64_t planes = dst_planes_.count(v.channels_out), row_elems = dst_planes_.row_elems;
  const int64_t first = tile.row * row_elems;
  float* dst_band = dst + first;
  if (planes > 1) {
    dst_band = bands;
    bands += dst_scratch_;
  }
  std::array<const void*, 32> band_operands;
  size_t count = 0;
  for (const FusedOp& fused : post_ops_) {
    if (fused.reach == FusedOp::Reach::kNone) continue;
    const float* operand = static_cast<const float*>(operands[count]);
    if (fused.reach == FusedOp::Reach::kFull) {
      if (planes > 1) {
        CopyRowsIn(operand, planes, dst_planes_.rows, row_elems, tile.row, tile.rows, bands);
        operand = bands;
        bands += dst_scratch_;
      } else {
        operand += first;
      }
    }
    band_operands[count++] = operand;
  }
  v.primitive->Execute(src_band, weights, bias, dst_band, {band_operands.data(), count}, primitive_scratch);
  for (int64_t p = 0; p < planes && planes > 1; ++p) {
    std::memcpy(dst + p * dst_planes_.plane_elems() + first, dst_band + p * tile.rows * row_elems,
                static_cast<size_t>(tile.rows * row_elems) * sizeof(float));
  }
}

}  // namespace sluice::onednn
