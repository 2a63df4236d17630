#include "kernels/tap_conv_kernel.h"

#include <algorithm>

#include "kernels/cache_sizes.h"
#include "kernels/parallel.h"

namespace sluice {
namespace {

// About 100 us of one core: what a task of TBB costs is lost in it.
constexpr int64_t kTileFlops = 10'000'000;
// Enough for 16 threads to end at about the same time.
constexpr int64_t kMaxTiles = 32;
// Packed weights and what is read of the input share the L2 cache.
constexpr int64_t kShareOfL2 = 4;
// Narrower ranges of channels copy the input too often.
constexpr int64_t kLeastPanels = 2;
// Products that each dot product needs for its end, the sum over a vector, not to show.
constexpr int64_t kLeastDot = 128;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void TapConvKernel::Prepare(PrepareContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
  geometry_ = transposed_ ? ConvTransposeGeometryOf(ctx) : ConvGeometryOf(ctx);
  const ConvGeometry& g = geometry_;
  if (g.in.size() > 2) ctx.Decline("more than two spatial axes");
  const auto& strides = g.window.strides;
  if (!transposed_ && std::any_of(strides.begin(), strides.end(), [](int64_t s) { return s != 1; }))
    ctx.Decline("stride is not 1");
  if (g.flops() == 0 || ctx.output(0).num_elements() == 0) ctx.Decline("empty tensors");
  if (ctx.constant(1) == nullptr) ctx.Decline("weights are not constant");
  has_bias_ = ctx.has_input(2);
  if (has_bias_ && ctx.constant(2) == nullptr) ctx.Decline("bias is not constant");
  const Layout layout = NativeBlockedLayout();
  block_ = BlockOf(layout);
  if (g.groups > 1 && (g.ic_per_group() % block_ != 0 || g.oc_per_group() % block_ != 0))
    ctx.Decline("groups are no whole blocks of channels");
  if (g.ic_per_group() < block_ / 2) ctx.Decline("less input channels than half a block");
  ic_blocks_ = CeilDiv(g.ic_per_group(), block_);
  shape_ = PhasesOf(g);
  dots_ = g.groups == 1 && g.oc <= kMostDotChannels && ic_blocks_ * block_ * MostTaps() >= kLeastDot;
  if (!transposed_ && g.in.size() == 2 && !dots_) ctx.Decline("ImageConvKernel is as fast in two dimensions");
  out_block_ = dots_ ? 1 : block_;
  oc_blocks_ = CeilDiv(g.oc_per_group(), out_block_);
  width_ = dots_ ? g.oc : TapPanel();
  panels_ = CeilDiv(oc_blocks_ * out_block_, width_);

  PlaceWeights();
  ChooseTiles();
  const Layout out_layout = dots_ ? Layout::kPlain : layout;
  post_ops_ = VectorPostOps(ctx, out_layout, width_);
  rest_ = PostOpRunner(ctx, static_cast<size_t>(post_ops_.size()));
  ctx.SetInputLayout(0, layout);
  ctx.SetOutputLayout(0, out_layout);
  PackWeights(ctx);
  ctx.SetScratch(Buffers::BytesFor(*this));
}

int64_t TapConvKernel::MostTaps() const {
  size_t taps = 0;
  for (const Phase& phase : shape_.phases) taps = std::max(taps, phase.taps.size());
  return static_cast<int64_t>(taps);
}

void TapConvKernel::PlaceWeights() {
  bool first = true;
  for (Phase& phase : shape_.phases) {
    for (PhaseTap& tap : phase.taps) {
      tap.weights = panel_elems_;
      panel_elems_ += ic_blocks_ * block_ * width_;
      if (first) min_dy_ = max_dy_ = tap.dy, min_dx_ = max_dx_ = tap.dx;
      first = false;
      min_dy_ = std::min(min_dy_, tap.dy), max_dy_ = std::max(max_dy_, tap.dy);
      min_dx_ = std::min(min_dx_, tap.dx), max_dx_ = std::max(max_dx_, tap.dx);
    }
  }
}

// Each group's panels: [tap, phase by phase][ic][channel of the panel]; of dot products [tap][ic
// block][channel][ic].
void TapConvKernel::PackWeights(PrepareContext& ctx) {
  const ConvGeometry& g = geometry_;
  const Tensor& weights = *ctx.constant(1);
  const int64_t width = width_, taps = g.window.kernel_elems();
  std::string format = (dots_ ? "dots " : "taps ") + std::to_string(transposed_) + ' ' +
                       std::to_string(width) + ' ' + std::to_string(block_) + ' ' + std::to_string(g.groups) +
                       ' ' + std::to_string(g.oc) + ' ' + std::to_string(g.ic);
  for (const Phase& phase : shape_.phases) {
    for (const PhaseTap& tap : phase.taps) format += ' ' + std::to_string(tap.kernel);
  }
  const int64_t icg = g.ic_per_group(), ocg = g.oc_per_group();
  packed_ = PackShared(weights, format, g.groups * panels_ * panel_elems_ * 4, [&](std::byte* to) {
    ForEachTile(g.groups * panels_, [&](int64_t tile) {
      const int64_t group = tile / panels_, first = tile % panels_ * width;
      float* panel = reinterpret_cast<float*>(to) + tile * panel_elems_;
      std::fill_n(panel, panel_elems_, 0.0f);
      const int64_t end = std::min(ocg, first + width), apart = (transposed_ ? 1 : icg) * taps;
      for (int64_t i = 0; i < icg; ++i) {
        const float* kernels =
            static_cast<const float*>(weights.data()) +
            (transposed_ ? (group * icg + i) * ocg + first : (group * ocg + first) * icg + i) * taps;
        const int64_t at = dots_ ? (i / block_ * width + first) * block_ + i % block_ : i * width;
        const int64_t step = dots_ ? block_ : 1;
        for (const Phase& phase : shape_.phases) {
          for (const PhaseTap& tap : phase.taps) {
            for (int64_t o = 0; o < end - first; ++o)
              panel[tap.weights + at + o * step] = kernels[o * apart + tap.kernel];
          }
        }
      }
    });
  });
  ctx.DropInput(1);
  // A panel may be wider than what is left of the channels.
  if (has_bias_) bias_ = PackPadded(*ctx.constant(2), g.oc + std::max(width, block_));
}

int64_t TapConvKernel::PositionsOf(const Phase& phase) const { return geometry_.n * phase.rows * phase.cols; }

// Blocks of a phase where positions are gathered.
int64_t TapConvKernel::BlocksOf(const Phase& phase) const {
  return images_first_ ? phase.rows * phase.cols * CeilDiv(geometry_.n, TapRows())
                       : CeilDiv(PositionsOf(phase), TapRows());
}

void TapConvKernel::ChooseTiles() {
  const ConvGeometry& g = geometry_;
  const Phase& largest = shape_.phases[0];
  const int64_t ic = ic_blocks_ * block_;
  const int64_t budget = L2Bytes() / kShareOfL2 / static_cast<int64_t>(sizeof(float));
  const int64_t wanted = std::clamp<int64_t>(g.flops() / kTileFlops, 1, kMaxTiles);
  const int64_t taps = MostTaps();
  const auto split = [&](int64_t bands) {
    const int64_t most = std::max<int64_t>(1, panels_ / kLeastPanels);
    splits_ = g.groups * std::clamp<int64_t>(CeilDiv(wanted, bands * g.groups), 1, most);
  };

  gathered_ = largest.cols < TapLeastRows();
  if (gathered_) {
    images_first_ = g.n >= TapLeastRows();
    const int64_t blocks = BlocksOf(largest);
    const int64_t block_elems = std::max<int64_t>(1, taps * ic * TapRows());
    // Weights are read once a band.
    const int64_t fits = std::max<int64_t>(1, budget * 2 / block_elems);
    // Every range of channels gathers again.
    split(2 * CeilDiv(blocks, fits));
    bands_ = std::clamp<int64_t>(CeilDiv(wanted, splits_), CeilDiv(blocks, fits), blocks);
    max_blocks_ = CeilDiv(blocks, bands_);
    copy_elems_ = max_blocks_ * block_elems;
    max_taps_ = max_blocks_ * taps;
    max_positions_ = max_blocks_ * TapRows();
    return;
  }
  // Rows as many as fit, or parts of one row.
  const int64_t span_y = max_dy_ - min_dy_, span_x = max_dx_ - min_dx_;
  const auto copy_elems = [&](int64_t rows, int64_t cols) { return (rows + span_y) * (cols + span_x) * ic; };
  int64_t cols = largest.cols, rows = largest.rows;
  if (copy_elems(1, cols) > budget) {
    cols = std::clamp<int64_t>(budget / ((1 + span_y) * ic) - span_x, std::min(cols, 4 * TapRows()), cols);
  }
  rows = std::clamp<int64_t>(budget / ((cols + span_x) * ic) - span_y, 1, rows);
  col_bands_ = CeilDiv(largest.cols, cols);
  row_bands_ = CeilDiv(largest.rows, rows);
  split(g.n * row_bands_ * col_bands_);
  if (const int64_t more = CeilDiv(wanted, splits_ * g.n); more > row_bands_ * col_bands_) {
    row_bands_ = std::min(largest.rows, CeilDiv(more, col_bands_));
    if (row_bands_ * col_bands_ < more)
      col_bands_ = std::clamp<int64_t>(CeilDiv(more, row_bands_), col_bands_,
                                       std::max<int64_t>(col_bands_, largest.cols / (4 * TapRows())));
  }
  rows = CeilDiv(largest.rows, row_bands_), cols = CeilDiv(largest.cols, col_bands_);
  bands_ = g.n * row_bands_ * col_bands_;
  copy_elems_ = copy_elems(rows, cols);
  max_blocks_ = rows * CeilDiv(cols, TapRows());
  max_taps_ = rows * taps;
  max_positions_ = rows * cols;
}

}  // namespace sluice
