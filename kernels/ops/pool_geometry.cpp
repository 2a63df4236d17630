#include <algorithm>

#include "kernels/ops/pool.h"

namespace sluice {
namespace {

// The taps of every window along one axis. Padding that counts ends where the stated padding does: what
// ceil_mode lets a window stick out beyond does not count.
std::vector<PoolTaps> TapsAlong(const Window& w, size_t axis, int64_t in, int64_t out, bool count_pads) {
  const int64_t kernel = w.kernel[axis], dilation = w.dilations[axis];
  // Taps at positions before `limit`, of those at start, start + dilation, ...
  const auto taps_before = [&](int64_t start, int64_t limit) {
    return limit <= start ? 0 : std::min(kernel, (limit - start + dilation - 1) / dilation);
  };
  std::vector<PoolTaps> taps;
  taps.reserve(static_cast<size_t>(out));
  for (int64_t o = 0; o < out; ++o) {
    const int64_t start = o * w.strides[axis] - w.pads_begin[axis];
    PoolTaps t{taps_before(start, 0), taps_before(start, in), 0};
    t.counted = count_pads ? taps_before(start, in + w.pads_end[axis]) : t.end - t.begin;
    taps.push_back(t);
  }
  return taps;
}

}  // namespace

bool PoolGeometry::has_empty_windows() const {
  return std::any_of(taps.begin(), taps.end(), [](const std::vector<PoolTaps>& axis) {
    return std::any_of(axis.begin(), axis.end(), [](const PoolTaps& t) { return t.begin == t.end; });
  });
}

PoolGeometry PoolGeometryOf(const PrepareContext& ctx, bool whole) {
  PoolGeometry g;
  const Shape& src = ctx.shape(0);
  g.planes = src[0] * src[1];
  g.in = SpatialOf(src);
  g.out = SpatialOf(ctx.output(0).shape);
  g.empty = ctx.output(0).num_elements() == 0;
  const size_t axes = g.in.size();
  if (whole) {
    const std::vector<int64_t> ones(axes, 1), zeros(axes, 0);
    g.window = {.kernel = g.in, .strides = ones, .dilations = ones, .pads_begin = zeros, .pads_end = zeros};
  } else {
    g.window = ReadWindow(ctx.attrs(), axes);
    ResolvePads(g.window, g.in);
  }
  if (g.empty) return g;
  const bool count_pads = ctx.attrs().Int("count_include_pad", 0) != 0;
  for (size_t i = 0; i < axes; ++i) g.taps.push_back(TapsAlong(g.window, i, g.in[i], g.out[i], count_pads));
  return g;
}

}  // namespace sluice
