#include "kernels/tap_conv_kernel.h"

#include <algorithm>
#include <cstring>

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

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

// Memory of one running tile, in this order.
struct TapConvKernel::Buffers {
  float* copy;
  TapBlock* blocks;
  Tap* taps;
  int64_t* positions;

  static int64_t BytesFor(const TapConvKernel& k) {
    return (k.copy_elems_ + 15) / 16 * 64 + k.max_blocks_ * static_cast<int64_t>(sizeof(TapBlock)) +
           k.max_taps_ * static_cast<int64_t>(sizeof(Tap)) +
           k.max_positions_ * static_cast<int64_t>(sizeof(int64_t));
  }
  Buffers(const TapConvKernel& k, std::byte* memory) : copy(reinterpret_cast<float*>(memory)) {
    memory += (k.copy_elems_ + 15) / 16 * 64;
    blocks = reinterpret_cast<TapBlock*>(memory);
    taps = reinterpret_cast<Tap*>(blocks + k.max_blocks_);
    positions = reinterpret_cast<int64_t*>(taps + k.max_taps_);
  }
};

void TapConvKernel::Prepare(PrepareContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
  geometry_ = transposed_ ? ConvTransposeGeometryOf(ctx) : ConvGeometryOf(ctx);
  const ConvGeometry& g = geometry_;
  if (g.in.size() > 2) ctx.Decline("more than two spatial axes");
  if (!transposed_ && g.in.size() == 2) ctx.Decline("oneDNN's is as fast in two dimensions");
  if (!transposed_ && g.window.strides[0] != 1) ctx.Decline("stride is not 1");
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
  oc_blocks_ = CeilDiv(g.oc_per_group(), block_);
  panels_ = CeilDiv(oc_blocks_ * block_, TapPanel());

  shape_ = PhasesOf(g);
  PlaceWeights();
  ChooseTiles();
  post_ops_ = VectorPostOps(ctx, layout, TapPanel());
  rest_ = PostOpRunner(ctx, static_cast<size_t>(post_ops_.size()));
  ctx.SetInputLayout(0, layout);
  ctx.SetOutputLayout(0, layout);
  PackWeights(ctx);
  ctx.SetScratch(Buffers::BytesFor(*this));
}

void TapConvKernel::PlaceWeights() {
  bool first = true;
  for (Phase& phase : shape_.phases) {
    for (PhaseTap& tap : phase.taps) {
      tap.weights = panel_elems_;
      panel_elems_ += ic_blocks_ * block_ * TapPanel();
      if (first) min_dy_ = max_dy_ = tap.dy, min_dx_ = max_dx_ = tap.dx;
      first = false;
      min_dy_ = std::min(min_dy_, tap.dy), max_dy_ = std::max(max_dy_, tap.dy);
      min_dx_ = std::min(min_dx_, tap.dx), max_dx_ = std::max(max_dx_, tap.dx);
    }
  }
}

// Each group's panels: [tap, phase by phase][ic][channel of the panel].
void TapConvKernel::PackWeights(PrepareContext& ctx) {
  const ConvGeometry& g = geometry_;
  const Tensor& weights = *ctx.constant(1);
  const int64_t width = TapPanel(), taps = g.window.kernel_elems();
  std::string format = "taps " + std::to_string(transposed_) + ' ' + std::to_string(width) + ' ' +
                       std::to_string(block_) + ' ' + std::to_string(g.groups) + ' ' + std::to_string(g.oc) +
                       ' ' + std::to_string(g.ic);
  for (const Phase& phase : shape_.phases) {
    for (const PhaseTap& tap : phase.taps) format += ' ' + std::to_string(tap.kernel);
  }
  const int64_t icg = g.ic_per_group(), ocg = g.oc_per_group();
  const int64_t packed_bytes = g.groups * panels_ * panel_elems_ * 4;
  packed_ = PackShared(weights, format, packed_bytes, [&](std::byte* to) {
    // Of channels beyond the last, where blocks and panels are wider than what is left.
    if (icg % block_ != 0 || ocg % width != 0) std::fill_n(to, packed_bytes, std::byte(0));
    const auto* from = static_cast<const float*>(weights.data());
    auto* packed = reinterpret_cast<float*>(to);
    for (int64_t group = 0; group < g.groups; ++group) {
      for (int64_t o = 0; o < ocg; ++o) {
        float* panel = packed + (group * panels_ + o / width) * panel_elems_ + o % width;
        for (int64_t i = 0; i < icg; ++i) {
          const float* kernel =
              from + (transposed_ ? (group * icg + i) * ocg + o : (group * ocg + o) * icg + i) * taps;
          for (const Phase& phase : shape_.phases) {
            for (const PhaseTap& tap : phase.taps) panel[tap.weights + i * width] = kernel[tap.kernel];
          }
        }
      }
    }
  });
  ctx.DropInput(1);
  if (!has_bias_) return;
  const Tensor& bias = *ctx.constant(2);
  // A panel may be wider than what is left of the channels.
  const int64_t padded = g.oc + width;
  bias_ = PackShared(bias, "padded " + std::to_string(padded), padded * 4, [&](std::byte* to) {
    std::byte* end = std::copy_n(static_cast<const std::byte*>(bias.data()), bias.byte_size(), to);
    std::fill(end, to + padded * 4, std::byte(0));
  });
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
  int64_t taps = 0;
  for (const Phase& phase : shape_.phases) taps = std::max(taps, static_cast<int64_t>(phase.taps.size()));
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
    split(CeilDiv(blocks, fits));
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

TapConvKernel::Part TapConvKernel::PartOf(int64_t split) const {
  const int64_t per_group = splits_ / geometry_.groups;
  const Range range = PieceOf(panels_, per_group, split % per_group);
  return {split / per_group, range.begin, range.end - range.begin};
}

void TapConvKernel::Run(const RunContext& ctx, int64_t tile) const {
  const Part part = PartOf(tile % splits_);
  if (gathered_)
    RunGathered(ctx, tile / splits_, part);
  else
    RunBand(ctx, tile / splits_, part);
}

void TapConvKernel::RunBand(const RunContext& ctx, int64_t band, const Part& part) const {
  const Buffers buffers(*this, ctx.scratch<std::byte>());
  const int64_t n = band / (row_bands_ * col_bands_);
  const Range band_rows = PieceOf(shape_.phases[0].rows, row_bands_, band / col_bands_ % row_bands_);
  const Range band_cols = PieceOf(shape_.phases[0].cols, col_bands_, band % col_bands_);

  // Input rows [top, bottom) and columns from `left` on, as they lie or copied with zeros beside the row.
  const int64_t blocks_of_image = geometry_.groups * ic_blocks_;
  const float* src =
      ctx.in<float>(0) + (n * blocks_of_image + part.group * ic_blocks_) * shape_.y.in * shape_.x.in * block_;
  int64_t top = 0, left = 0, width = shape_.x.in, plane = shape_.y.in * shape_.x.in;
  const int64_t first = band_cols.begin + min_dx_, end = band_cols.end + max_dx_;
  if (first < 0 || end > shape_.x.in) {
    top = std::clamp<int64_t>(band_rows.begin + min_dy_, 0, shape_.y.in);
    const int64_t bottom = std::clamp<int64_t>(band_rows.end + max_dy_, top, shape_.y.in);
    const int64_t begin = std::clamp<int64_t>(first, 0, shape_.x.in),
                  stop = std::clamp<int64_t>(end, begin, shape_.x.in);
    float* to = buffers.copy;
    for (int64_t c = 0; c < ic_blocks_; ++c) {
      for (int64_t y = top; y < bottom; ++y, to += (end - first) * block_) {
        std::fill_n(to, (begin - first) * block_, 0.0f);
        std::memcpy(to + (begin - first) * block_,
                    src + ((c * shape_.y.in + y) * shape_.x.in + begin) * block_,
                    static_cast<size_t>((stop - begin) * block_) * sizeof(float));
        std::fill(to + (stop - first) * block_, to + (end - first) * block_, 0.0f);
      }
    }
    src = buffers.copy;
    left = first;
    width = end - first;
    plane = (bottom - top) * width;
  }

  for (const Phase& phase : shape_.phases) {
    TapBlock* next = buffers.blocks;
    Tap* taps = buffers.taps;
    int64_t* positions = buffers.positions;
    const int64_t stop = std::min(band_cols.end, phase.cols), cols = stop - band_cols.begin;
    const int64_t pieces = CeilDiv(std::max<int64_t>(cols, 0), TapRows());
    for (int64_t row = band_rows.begin; row < std::min(band_rows.end, phase.rows); ++row) {
      const Tap* of_row = taps;
      for (const PhaseTap& tap : phase.taps) {
        const int64_t y = row + tap.dy;
        if (y < 0 || y >= shape_.y.in) continue;
        *taps++ = {((y - top) * width + tap.dx - left) * block_, tap.weights};
      }
      const int64_t line = ((phase.row + row * shape_.y.stride) * shape_.x.out + phase.col) * block_;
      for (int64_t p = 0; p < pieces; ++p) {
        const Range piece = PieceOf(cols, pieces, p);
        const int64_t col = band_cols.begin + piece.begin, count = piece.end - piece.begin;
        for (int64_t i = 0; i < count; ++i)
          positions[i] = line + (col + i) * shape_.x.stride * block_ +
                         n * geometry_.groups * oc_blocks_ * shape_.y.out * shape_.x.out * block_;
        *next++ = {col * block_, of_row, taps - of_row, plane * block_, positions, static_cast<int>(count)};
        positions += count;
      }
    }
    SumPanels(ctx, part, src, buffers.blocks, next - buffers.blocks);
  }
}

void TapConvKernel::RunGathered(const RunContext& ctx, int64_t band, const Part& part) const {
  const Buffers buffers(*this, ctx.scratch<std::byte>());
  const int64_t ic_plane = shape_.y.in * shape_.x.in * block_,
                oc_plane = shape_.y.out * shape_.x.out * block_;
  const int64_t in_image = geometry_.groups * ic_blocks_ * ic_plane,
                out_image = geometry_.groups * oc_blocks_ * oc_plane;
  const float* src = ctx.in<float>(0) + part.group * ic_blocks_ * ic_plane;
  struct Place {
    int64_t n, row, col;
  };
  Place places[64];
  for (const Phase& phase : shape_.phases) {
    const int64_t pixels = phase.rows * phase.cols, pieces = CeilDiv(geometry_.n, TapRows());
    const int64_t blocks = BlocksOf(phase), positions_all = PositionsOf(phase);
    const Range range = PieceOf(blocks, bands_, band);
    TapBlock* next = buffers.blocks;
    Tap* taps = buffers.taps;
    int64_t* positions = buffers.positions;
    float* copy = buffers.copy;
    for (int64_t b = range.begin; b < range.end; ++b) {
      const Range piece =
          images_first_ ? PieceOf(geometry_.n, pieces, b % pieces) : PieceOf(positions_all, blocks, b);
      const int64_t count = piece.end - piece.begin;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t at = piece.begin + i, pixel = images_first_ ? b / pieces : at % pixels;
        places[i] = {images_first_ ? at : at / pixels, pixel / phase.cols, pixel % phase.cols};
        positions[i] =
            places[i].n * out_image + ((phase.row + places[i].row * shape_.y.stride) * shape_.x.out +
                                       phase.col + places[i].col * shape_.x.stride) *
                                          block_;
      }
      const Tap* of_block = taps;
      const float* begin = copy;
      for (const PhaseTap& tap : phase.taps) {
        // Null where the tap is beside the image; a tap that is so for all positions is left out.
        const float* from[64];
        bool any = false;
        for (int64_t i = 0; i < count; ++i) {
          const int64_t y = places[i].row + tap.dy, x = places[i].col + tap.dx;
          const bool inside = y >= 0 && y < shape_.y.in && x >= 0 && x < shape_.x.in;
          from[i] = inside ? src + places[i].n * in_image + (y * shape_.x.in + x) * block_ : nullptr;
          any |= inside;
        }
        if (!any) continue;
        *taps++ = {copy - begin, tap.weights};
        for (int64_t c = 0; c < ic_blocks_; ++c) {
          for (int64_t i = 0; i < count; ++i, copy += block_) {
            if (from[i] == nullptr)
              std::fill_n(copy, block_, 0.0f);
            else
              std::copy_n(from[i] + c * ic_plane, block_, copy);
          }
        }
      }
      *next++ = {begin - buffers.copy, of_block,  taps - of_block,
                 count * block_,       positions, static_cast<int>(count)};
      positions += count;
    }
    SumPanels(ctx, part, buffers.copy, buffers.blocks, next - buffers.blocks);
  }
}

void TapConvKernel::SumPanels(const RunContext& ctx, const Part& part, const float* src,
                              const TapBlock* blocks, int64_t count) const {
  const int64_t width = TapPanel(), plane = shape_.y.out * shape_.x.out * block_;
  auto ops = post_ops_.For(ctx);
  for (int64_t p = part.first_panel; p < part.first_panel + part.panels; ++p) {
    const int64_t in_group = p * width, channel = part.group * oc_blocks_ * block_ + in_group;
    const int64_t at = channel / block_ * plane + channel % block_;
    TapSum sum;
    sum.block = block_;
    sum.ic_blocks = ic_blocks_;
    sum.src = src;
    sum.dst_step = plane;
    sum.channels = oc_blocks_ * block_ - in_group;
    sum.valid = geometry_.oc_per_group() - in_group;
    sum.weights = reinterpret_cast<const float*>(packed_->data()) + (part.group * panels_ + p) * panel_elems_;
    sum.bias = has_bias_ ? reinterpret_cast<const float*>(bias_->data()) + channel : nullptr;
    auto here = ops;
    for (VectorOp& op : here) {
      if (op.operand != nullptr) op.operand += op.by_channel ? channel : at;
    }
    sum.ops = here.data();
    sum.num_ops = post_ops_.size();
    sum.dst = ctx.out<float>(0) + at;
    SumTaps(sum, blocks, count);
  }
  if (!rest_.empty()) ApplyRest(ctx, part, blocks, count);
}

// Position by position, since a phase's are not next to each other.
void TapConvKernel::ApplyRest(const RunContext& ctx, const Part& part, const TapBlock* blocks,
                              int64_t count) const {
  const int64_t plane = shape_.y.out * shape_.x.out * block_, image = geometry_.groups * oc_blocks_ * plane;
  const int64_t first = part.group * oc_blocks_ * block_ + part.first_panel * TapPanel();
  const int64_t last =
      std::min({first + part.panels * TapPanel(), (part.group + 1) * oc_blocks_ * block_, geometry_.oc});
  for (int64_t b = 0; b < count; ++b) {
    for (int i = 0; i < blocks[b].count; ++i) {
      const int64_t n = blocks[b].dst[i] / image, pixel = blocks[b].dst[i] % image / block_;
      for (int64_t c = first; c < last; c += block_) {
        float* values = ctx.out<float>(0) + blocks[b].dst[i] + c / block_ * plane;
        rest_.Apply(ctx, values, rest_.Block(n, c, std::min(block_, last - c), pixel, 1, block_));
      }
    }
  }
}

}  // namespace sluice
