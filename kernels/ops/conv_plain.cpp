#include "kernels/ops/conv_plain.h"

#include "kernels/parallel.h"
#include "sluice/error.h"

namespace sluice {
namespace {

// A tile does at least this much, and fewer tiles save loading the input again.
constexpr int64_t kMinTileFlops = 2'000'000;
constexpr int64_t kMaxPieces = 16;

int64_t FloorDiv(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

int64_t RoundUp16(int64_t elems) { return (elems + 15) / 16 * 16; }

// On the spatial axes one side of a convolution is walked densely (the output; the input of a
// transposed one), and its position p meets position p * stride + tap * dilation - pad of the other.
template <typename Sum>
void AccumulateTyped(const ConvGeometry& g, const Sum* src, const Sum* weights, Sum* sums) {
  const Window& w = g.window;
  const size_t axes = w.rank();
  const std::vector<int64_t>& dense = g.transposed ? g.in : g.out;
  const std::vector<int64_t>& strided = g.transposed ? g.out : g.in;
  Position dense_step{}, strided_step{}, kernel_end{};
  int64_t dense_elems = 1, strided_elems = 1, taps = 1;
  for (size_t i = axes; i-- > 0;) {
    dense_step[i] = dense_elems;
    strided_step[i] = strided_elems;
    dense_elems *= dense[i];
    strided_elems *= strided[i];
    kernel_end[i] = w.kernel[i];
    taps *= w.kernel[i];
  }
  const size_t last = axes - 1;
  const int64_t src_elems = g.transposed ? dense_elems : strided_elems;
  Position tap{};
  for (int64_t t = 0; t < taps; ++t, NextPosition(tap, Position{}, kernel_end, axes)) {
    // The dense positions for which the other one exists.
    Position begin{}, end{};
    bool none = false;
    for (size_t i = 0; i < axes; ++i) {
      const int64_t offset = tap[i] * w.dilations[i] - w.pads_begin[i];
      begin[i] = std::max<int64_t>(0, FloorDiv(-offset + w.strides[i] - 1, w.strides[i]));
      end[i] = std::min(dense[i], FloorDiv(strided[i] - 1 - offset, w.strides[i]) + 1);
      none |= begin[i] >= end[i];
    }
    if (none) continue;
    const int64_t count = end[last] - begin[last], stride = w.strides[last];
    Position row_end = end;
    row_end[last] = begin[last] + 1;  // rows are walked as a whole
    for (int64_t ic = 0; ic < g.ic_per_group(); ++ic) {
      const Sum weight = weights[ic * taps + t];
      const Sum* plane = src + ic * src_elems;
      Position at = begin;
      do {
        int64_t dense_at = 0, strided_at = 0;
        for (size_t i = 0; i < axes; ++i) {
          dense_at += at[i] * dense_step[i];
          strided_at += (at[i] * w.strides[i] + tap[i] * w.dilations[i] - w.pads_begin[i]) * strided_step[i];
        }
        if (g.transposed) {
          for (int64_t x = 0; x < count; ++x) sums[strided_at + x * stride] += weight * plane[dense_at + x];
        } else if (stride == 1) {
          for (int64_t x = 0; x < count; ++x) sums[dense_at + x] += weight * plane[strided_at + x];
        } else {
          for (int64_t x = 0; x < count; ++x) sums[dense_at + x] += weight * plane[strided_at + x * stride];
        }
      } while (NextPosition(at, begin, row_end, axes));
    }
  }
}

}  // namespace

PlainConv::PlainConv(ConvGeometry geometry) : geometry_(std::move(geometry)) {
  const ConvGeometry& g = geometry_;
  const int64_t icg = g.groups == 0 ? 0 : g.ic_per_group();
  src_elems_ = RoundUp16(icg * g.in_elems());
  weights_elems_ = RoundUp16(icg * g.window.kernel_elems());
  out_elems_ = g.out_elems();
  const int64_t per_group = g.flops() / std::max<int64_t>(1, g.n * g.groups);
  pieces_ = std::min(std::max<int64_t>(1, g.oc_per_group()), PiecesOf(per_group, kMinTileFlops, kMaxPieces));
}

int64_t PlainConv::scratch_bytes(int64_t sum_bytes) const {
  return (src_elems_ + weights_elems_ + out_elems_) * sum_bytes;
}

PlainConv::TileOf PlainConv::Locate(int64_t tile) const {
  const int64_t piece = tile % pieces_, group = tile / pieces_ % geometry_.groups;
  const Range range = PieceOf(geometry_.oc_per_group(), pieces_, piece);
  const int64_t first = group * geometry_.oc_per_group();
  return {tile / pieces_ / geometry_.groups, group, first + range.begin, first + range.end};
}

void PlainConv::Accumulate(const float* src, const float* weights, float* sums) const {
  AccumulateTyped(geometry_, src, weights, sums);
}
void PlainConv::Accumulate(const double* src, const double* weights, double* sums) const {
  AccumulateTyped(geometry_, src, weights, sums);
}
void PlainConv::Accumulate(const int32_t* src, const int32_t* weights, int32_t* sums) const {
  // Sums wrap around, as the standard's 32-bit accumulators do.
  AccumulateTyped(geometry_, reinterpret_cast<const uint32_t*>(src), reinterpret_cast<const uint32_t*>(weights),
                  reinterpret_cast<uint32_t*>(sums));
}

}  // namespace sluice
