#include "kernels/winograd_kernel.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "kernels/cache_sizes.h"
#include "kernels/measuring.h"
#include "kernels/parallel.h"
#include "kernels/simd/winograd_form.h"

namespace sluice {
namespace {

// What things take in floating-point operations at the peak, measured on AVX-512 processors with 1 MiB of L2:
// shares of the peak that products and direct convolutions reach; transforming a tile's vector of channels
// there and back, of F(4x4) (F(2x2): by the elements), and how many times that where the input is yet to come
// from another core; transforming a kernel of F(5x5)'s weights; and reading a byte of weights from the L3
// cache, or past it.
constexpr double kProductShare = 0.88, kDirectShare = 0.9;
constexpr double kInputCost = 10000, kOutputCost = 8000, kFarInput = 2.5, kWeightCost = 300;
constexpr double kOpsPerByteL3 = 4, kOpsPerByte = 8;
constexpr double kL3Bytes = 8e6;
// F(5x5) has many elements, whose weights would be too many to keep.
constexpr int kLateM = 5;
// Tiles, and 4 more, from which on its sums keep the processor busy; 4 tiles reach about two thirds of that.
constexpr double kLateTiles = 12;
// A gain below this is noise.
constexpr double kLeastGain = 0.9;
// Packed weights of one layer; more is better spent on a direct convolution.
constexpr int64_t kMostPackedBytes = int64_t{96} << 20;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of reading `bytes` of weights `times` times.
double WeightsCost(int64_t bytes, int64_t times) {
  if (bytes <= L2Bytes() / 2) return 0;
  const auto size = static_cast<double>(bytes);
  return size * static_cast<double>(times) * (size > kL3Bytes ? kOpsPerByte : kOpsPerByteL3);
}

// The one number that all of them are; 0 where they differ.
int64_t Uniform(const std::vector<int64_t>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end() ? values[0]
                                                                                                 : 0;
}

// Ranges of panels, at most `most`, of each group that end soonest on the threads there are, where a range
// takes an `input` of all other work of its group on top. A quarter of a tile is what threads wait for the
// last one that is late for other reasons.
int64_t Splits(int64_t groups, int64_t most, double input) {
  const int64_t threads = ThreadCount();
  int64_t best = 1;
  double least = 0;
  for (int64_t splits = 1; threads > 1 && splits <= most; ++splits) {
    const double tiles = static_cast<double>(CeilDiv(groups * splits, threads)) + 0.25;
    const double end = tiles * (1 / static_cast<double>(splits) + input);
    if (splits > 1 && end >= least) continue;
    least = end;
    best = splits;
  }
  return best;
}

}  // namespace

WinogradKernel::Candidate WinogradKernel::Estimate(int m, Layout layout) const {
  const ConvGeometry& g = geometry_;
  Candidate c;
  WinogradShape& s = c.shape;
  s.m = m;
  s.late = m == kLateM;
  s.kernel = static_cast<int>(g.window.kernel[0]);
  s.stride = static_cast<int>(g.window.strides[0]);
  s.block = BlockOf(layout);
  s.ic_blocks = CeilDiv(g.ic, s.block);
  s.oc_blocks = CeilDiv(g.oc, s.block);
  s.ih = g.in[0], s.iw = g.in[1], s.oh = g.out[0], s.ow = g.out[1];
  s.pad_top = g.window.pads_begin[0], s.pad_left = g.window.pads_begin[1];
  const int64_t all = g.n * s.tile_rows() * s.tile_cols(), panels = WinogradPanels(s);
  // Multiples of 14 fill the registers. Smaller groups would read the weights too often, even if the group
  // outgrows L2.
  const int64_t fits = L2Bytes() / 2 / (s.elems() * s.ic() * static_cast<int64_t>(sizeof(float)));
  const int64_t most = std::clamp<int64_t>(fits / 14 * 14, s.elems() < 36 ? 56 : 28, 112);
  c.groups = CeilDiv(all, most);
  c.group_tiles = CeilDiv(all, c.groups);
  c.groups = CeilDiv(all, c.group_tiles);

  const double products = 2.0 * static_cast<double>(s.elems() * all) * static_cast<double>(s.ic()) *
                          static_cast<double>(panels * WinogradPanel());
  const double vectors =
      static_cast<double>(all * s.elems()) / 36 / static_cast<double>(s.block);  // but for their channels
  const double input = vectors * kInputCost * static_cast<double>(s.ic());
  const double transforms = s.late ? static_cast<double>(s.ic() * s.oc()) * kWeightCost : 0;
  // Weights transformed late are in registers for the tiles that there are: few leave the sums waiting.
  const double busy = s.late ? std::min(1.0, static_cast<double>(all + 4) / kLateTiles) : 1;
  const double others = products / (kProductShare * busy) + transforms +
                        vectors * kOutputCost * static_cast<double>(s.oc()) +
                        WeightsCost(WinogradPackedElems(s) * 4, c.groups);
  // Each range of panels transforms the input anew and has 64 channels at least.
  const int64_t ranges = std::clamp<int64_t>(s.oc() / 64, 1, panels);
  c.splits = Splits(c.groups, ranges, kFarInput * input / others);
  // Which form runs must not depend on the threads, as results would: the cost is that of 16 tiles.
  c.cost = input * static_cast<double>(std::clamp<int64_t>(CeilDiv(16, c.groups), 1, ranges)) + others;
  return c;
}

void WinogradKernel::Prepare(PrepareContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
  if (ctx.accuracy() == Accuracy::kStrict) ctx.Decline("strict accuracy");
  geometry_ = ConvGeometryOf(ctx);
  const ConvGeometry& g = geometry_;
  const Window& w = g.window;
  if (w.rank() != 2 || Uniform(w.dilations) != 1) ctx.Decline("not two spatial axes without dilation");
  const auto kernel = static_cast<int>(Uniform(w.kernel)), stride = static_cast<int>(Uniform(w.strides));
  if (g.groups != 1) ctx.Decline("groups");
  const Tensor* weights = ctx.constant(1);
  if (weights == nullptr) ctx.Decline("weights are not constant");
  has_bias_ = ctx.has_input(2);
  if (has_bias_ && ctx.constant(2) == nullptr) ctx.Decline("bias is not constant");
  if (ctx.output(0).num_elements() == 0 || g.ic == 0) ctx.Decline("empty tensors");
  for (size_t i = 0; i < 2; ++i) {
    if (g.window.pads_begin[i] < 0 || g.window.pads_end[i] < 0) ctx.Decline("negative padding");
  }
  const Layout layout = NativeBlockedLayout();
  // The many elements of a tile at stride 2 are transformed for few products each otherwise.
  const int64_t least = (stride == 1 ? 1 : 4) * BlockOf(layout);
  if (g.ic < least) ctx.Decline("less than " + std::to_string(least) + " input channels");
  post_ops_ = VectorPostOps(ctx, layout, WinogradPanel());
  if (const auto taken = static_cast<size_t>(post_ops_.size()); taken < ctx.post_ops().size())
    ctx.Decline("post-op " + ToString(ctx.post_ops()[taken]));

  std::vector<Candidate> found;
  for (int m : {6, kLateM, 4, 2}) {
    bool fast = false;
    if (!WithWinogradForm(m, kernel, stride, [&](const auto& form) { fast = form.fast; })) continue;
    if (fast && ctx.accuracy() != Accuracy::kFast) continue;
    const int64_t tiles = g.n * CeilDiv(g.out[0], m) * CeilDiv(g.out[1], m);
    if (m == kLateM ? tiles <= WinogradLateTiles() : ctx.weights_may_grow(weights->byte_size()))
      found.push_back(Estimate(m, layout));
  }
  if (found.empty()) {
    ctx.Decline(ctx.weights_may_grow(weights->byte_size())
                    ? "no form for this kernel and these strides"
                    : "its weights are to take no more than they are (max_weight_bytes)");
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Candidate& a, const Candidate& b) { return a.cost < b.cost; });
  const Candidate& best = found[static_cast<size_t>(MeasuringScope::WayOf(static_cast<int>(found.size())))];
  const double direct =
      static_cast<double>(g.flops()) / kDirectShare + WeightsCost(g.oc * g.ic * kernel * kernel * 4, 1);
  if (best.cost > kLeastGain * direct && !MeasuringScope::active()) {
    ctx.Decline("expected at " + std::to_string(static_cast<int>(100 * best.cost / direct)) +
                " % of the direct time");
  }
  shape_ = best.shape;
  groups_ = best.groups;
  group_tiles_ = best.group_tiles;
  splits_ = best.splits;
  image_tiles_ = g.n * shape_.tile_rows() * shape_.tile_cols();
  if (!shape_.late && WinogradPackedElems(shape_) * 4 > kMostPackedBytes)
    ctx.Decline("packed weights would be too large");

  if (MeasuringScope::Unwanted(name())) ctx.Decline("measured slower");

  ctx.SetInputLayout(0, layout);
  ctx.SetOutputLayout(0, layout);
  PackWeights(ctx);
  ctx.SetScratch(WinogradScratchElems(shape_, group_tiles_) * static_cast<int64_t>(sizeof(float)));
}

void WinogradKernel::PackWeights(PrepareContext& ctx) {
  const Tensor& weights = *ctx.constant(1);
  const std::string form =
      shape_.late ? "late" : std::to_string(shape_.m) + " " + std::to_string(shape_.stride);
  const std::string format = "winograd " + form + " " + std::to_string(shape_.kernel) + " " +
                             std::to_string(shape_.block) + " " + std::to_string(WinogradPanel()) + " " +
                             std::to_string(geometry_.oc) + " " + std::to_string(geometry_.ic);
  packed_ = PackShared(weights, format, WinogradPackedElems(shape_) * 4, [&](std::byte* to) {
    ForEachTile(WinogradPanels(shape_), [&](int64_t panel) {
      WinogradPack(shape_, static_cast<const float*>(weights.data()), geometry_.oc, geometry_.ic, panel,
                   reinterpret_cast<float*>(to));
    });
  });
  ctx.DropInput(1);
  // A vector may be wider than what is left of the channels.
  if (has_bias_) bias_ = PackPadded(*ctx.constant(2), WinogradPanels(shape_) * WinogradPanel());
}

void WinogradKernel::RunTogether(const RunContext& ctx, int64_t first, int64_t count) const {
  const auto ops = post_ops_.For(ctx);
  const int64_t panels = WinogradPanels(shape_), split = first % splits_;
  const int64_t begin = PieceOf(panels, splits_, split).begin;
  const int64_t end = PieceOf(panels, splits_, split + count - 1).end;
  const int64_t tile = first / splits_ * group_tiles_;
  WinogradRun(shape_, ctx.in<float>(0), static_cast<const float*>(packed_->data()),
              has_bias_ ? static_cast<const float*>(bias_->data()) : nullptr, ops.data(), post_ops_.size(),
              ctx.out<float>(0), tile, std::min(group_tiles_, image_tiles_ - tile), begin, end - begin,
              ctx.scratch<float>());
}

}  // namespace sluice
