#include "kernels/short_winograd_kernel.h"

#include <algorithm>

#include "kernels/cache_sizes.h"
#include "kernels/measuring.h"
#include "kernels/parallel.h"

namespace sluice {
namespace {

// Shares of the peak that products and direct sums reach, and what transforming one element of a tile's block
// of channels costs in floating-point operations of full speed: measured on an AVX-512 processor.
constexpr double kProductShare = 0.7, kDirectShare = 0.8, kTransformCost = 40;
// Operations that a core does in the time of reading a byte of weights past its L2 cache.
constexpr double kOpsPerByte = 8;
// A gain below this is noise.
constexpr double kLeastGain = 0.9;
// Packed weights of one layer; more is better spent on direct sums.
constexpr int64_t kMostPackedBytes = int64_t{96} << 20;
// Tiles of a band: enough to reuse weights that the L2 cache holds.
constexpr int64_t kMostBandTiles = 112;
// About 100 us of one core, and enough tiles for 16 threads.
constexpr int64_t kTileFlops = 10'000'000, kMaxTiles = 32;

// Floats between the elements' planes: a tile's elements would lie in the same set of the L1 cache where a
// plane is a multiple of 4 KiB.
constexpr int64_t kSkew = 16;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

// Memory of one running tile, in this order.
struct ShortWinogradKernel::Buffers {
  float *transformed, *products;
  ShortTile* tiles;
  TapBlock* blocks;
  Tap* taps;
  int64_t* positions;
  int64_t bytes;

  Buffers(const ShortWinogradKernel& k, std::byte* memory) {
    int64_t used = 0;
    const auto take = [&]<typename T>(T*& part, int64_t count) {
      part = memory == nullptr ? nullptr : reinterpret_cast<T*>(memory + used);
      used += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    };
    take(transformed, k.form_.elems() * (k.ic_blocks_ * k.band_tiles_ * k.block_ + kSkew));
    take(products, k.form_.elems() * (k.band_tiles_ * std::max(TapPanel(), k.block_) + kSkew));
    take(tiles, k.band_tiles_);
    take(blocks, k.band_blocks_);
    take(taps, k.groups_);
    take(positions, k.band_tiles_);
    bytes = used;
  }
};

void ShortWinogradKernel::Prepare(PrepareContext& ctx) {
  if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
  geometry_ = transposed_ ? ConvTransposeGeometryOf(ctx) : ConvGeometryOf(ctx);
  const ConvGeometry& g = geometry_;
  if (ctx.accuracy() == Accuracy::kStrict) ctx.Decline("strict accuracy");
  if (g.in.size() > (transposed_ ? 2u : 1u)) ctx.Decline("too many spatial axes");
  if (!transposed_ && g.window.strides[0] != 1) ctx.Decline("stride is not 1");
  if (g.groups != 1) ctx.Decline("groups");
  if (g.flops() == 0 || ctx.output(0).num_elements() == 0) ctx.Decline("empty tensors");
  if (ctx.constant(1) == nullptr) ctx.Decline("weights are not constant");
  if (!ctx.weights_may_grow(ctx.constant(1)->byte_size()))
    ctx.Decline("its weights are to take no more than they are (max_weight_bytes)");
  has_bias_ = ctx.has_input(2);
  if (has_bias_ && ctx.constant(2) == nullptr) ctx.Decline("bias is not constant");
  const Layout layout = NativeBlockedLayout();
  block_ = BlockOf(layout);
  if (g.ic < block_ || g.oc < block_ / 2) ctx.Decline("less channels than a block");
  ic_blocks_ = CeilDiv(g.ic, block_);
  oc_blocks_ = CeilDiv(g.oc, block_);
  panels_ = CeilDiv(oc_blocks_ * block_, TapPanel());
  post_ops_ = VectorPostOps(ctx, layout, TapPanel());
  if (const auto taken = static_cast<size_t>(post_ops_.size()); taken < ctx.post_ops().size())
    ctx.Decline("post-op " + ToString(ctx.post_ops()[taken]));
  shape_ = PhasesOf(g);
  TakeTaps(ctx);
  ChooseBands(ctx);
  ctx.SetInputLayout(0, layout);
  ctx.SetOutputLayout(0, layout);
  PackWeights(ctx);
  ctx.SetScratch(Buffers(*this, nullptr).bytes);
}

// Fits the form to the phase with most taps; all phases' taps must be equally far apart.
void ShortWinogradKernel::TakeTaps(PrepareContext& ctx) {
  int64_t step[2] = {0, 0}, most[2] = {1, 1};
  const ConvAxis axes[2] = {shape_.y, shape_.x};
  const auto taps_of = [&](int i, int64_t p) {
    std::vector<AxisTap> taps = AxisTaps(axes[i], transposed_, p);
    std::sort(taps.begin(), taps.end(),
              [](const AxisTap& a, const AxisTap& b) { return a.offset < b.offset; });
    return taps;
  };
  for (int i = 0; i < 2; ++i) {
    for (int64_t p = 0; p < std::min(axes[i].stride, axes[i].out); ++p) {
      const auto taps = taps_of(i, p);
      most[i] = std::max(most[i], static_cast<int64_t>(taps.size()));
      for (size_t k = 1; k < taps.size(); ++k) {
        const int64_t apart = taps[k].offset - taps[k - 1].offset;
        if (step[i] != 0 && step[i] != apart) ctx.Decline("taps are not equally far apart");
        step[i] = apart;
      }
    }
  }
  const bool plane = most[0] > 1;
  const int64_t r = std::max(most[0], most[1]);
  if (r == 1) ctx.Decline("a single tap");
  if (plane && r > 4) ctx.Decline("more than four taps along two axes");
  form_.rx = static_cast<int>(std::min<int64_t>(r, 4));
  form_.ry = plane ? form_.rx : 1;
  groups_ = CeilDiv(r, form_.rx);
  form_.block = block_;
  form_.step_y = plane ? std::max<int64_t>(1, step[0]) : 1;
  form_.step_x = std::max<int64_t>(1, step[1]);
  form_.ih = shape_.y.in, form_.iw = shape_.x.in;
  for (const Phase& phase : shape_.phases) {
    const auto rows = taps_of(0, phase.row), cols = taps_of(1, phase.col);
    PhaseTaps taps;
    if (!rows.empty()) taps.dy = rows[0].offset;
    if (!cols.empty()) taps.dx = cols[0].offset;
    const auto width = static_cast<size_t>(groups_ * form_.rx);
    taps.kernel.assign(static_cast<size_t>(form_.ry) * width, -1);
    for (size_t i = 0; i < rows.size(); ++i) {
      for (size_t j = 0; j < cols.size(); ++j)
        taps.kernel[i * width + j] = rows[i].kernel * axes[1].kernel + cols[j].kernel;
    }
    taps_.push_back(std::move(taps));
  }
}

void ShortWinogradKernel::ChooseBands(PrepareContext& ctx) {
  const ConvGeometry& g = geometry_;
  const Phase& largest = shape_.phases[0];
  const int64_t tall = CeilDiv(CeilDiv(largest.rows, form_.step_y), form_.my());
  tile_rows_ = tall * (form_.ry == 1 ? 1 : form_.step_y);
  residues_ = form_.step_x;
  tile_cols_ = CeilDiv(CeilDiv(largest.cols, residues_), form_.mx());
  const int64_t ic = ic_blocks_ * block_, oc = oc_blocks_ * block_, width = TapPanel();
  // Three quarters of the L2 cache: weights pass through it, and the more tiles, the fewer times.
  const int64_t fits = L2Bytes() * 3 / 4 / (form_.elems() * ic * static_cast<int64_t>(sizeof(float)));
  const int64_t most = std::clamp<int64_t>(fits / TapRows() * TapRows(), TapRows(), kMostBandTiles);
  const int64_t all = g.n * tile_rows_ * residues_ * tile_cols_,
                phases = static_cast<int64_t>(shape_.phases.size());
  const int64_t wanted = std::clamp<int64_t>(g.flops() / kTileFlops, 1, kMaxTiles);
  if (groups_ == 1) {
    bands_ = CeilDiv(all, most);
    band_tiles_ = CeilDiv(all, bands_);
    band_blocks_ = CeilDiv(band_tiles_, TapRows());
  } else {
    // Lines of one image's row, which all residues share.
    const int64_t cols = std::clamp<int64_t>(most / residues_ - (groups_ - 1),
                                             std::min<int64_t>(tile_cols_, TapRows()), tile_cols_);
    bands_of_line_ = CeilDiv(tile_cols_, cols);
    bands_ = g.n * tile_rows_ * bands_of_line_;
    const int64_t longest = CeilDiv(tile_cols_, bands_of_line_);
    band_tiles_ = residues_ * (longest + groups_ - 1);
    band_blocks_ = residues_ * CeilDiv(longest, TapRows());
  }
  // Ranges of at least 64 channels, so that the input is not transformed too often.
  const int64_t ranges = std::clamp<int64_t>(oc / 64, 1, panels_);
  splits_ = std::clamp<int64_t>(CeilDiv(wanted, bands_), 1, ranges);

  const double elems = static_cast<double>(form_.elems() * phases), count = static_cast<double>(all);
  const double products = 2.0 * elems * count * static_cast<double>(groups_ * ic * panels_ * width);
  const double transforms =
      elems * count * kTransformCost * static_cast<double>(splits_ * ic + oc) / static_cast<double>(block_);
  const double weights = elems * static_cast<double>(groups_ * ic * panels_ * width * 4);
  if (weights > static_cast<double>(kMostPackedBytes)) ctx.Decline("packed weights would be too large");
  const double reads =
      weights > static_cast<double>(L2Bytes()) / 2 ? weights * static_cast<double>(bands_) * kOpsPerByte : 0;
  const double cost = products / kProductShare + transforms + reads;
  const double direct = static_cast<double>(g.flops()) / kDirectShare;
  if (cost > kLeastGain * direct && !MeasuringScope::active()) {
    ctx.Decline("expected at " + std::to_string(static_cast<int64_t>(100 * cost / direct)) +
                " % of the time of direct sums");
  }
}

// Writes the transformed weights of one input channel and `count` output channels, which are side by side in the
// panel and `apart` in `weights`, by phase, element and group, `step` apart.
void ShortWinogradKernel::PackKernels(const float* weights, int64_t apart, int64_t count, int64_t step,
                                      float* packed) const {
  ShortLanes kernels[16], u[49];
  for (const PhaseTaps& phase : taps_) {
    for (int64_t group = 0; group < groups_; ++group) {
      for (int64_t row = 0; row < form_.ry; ++row) {
        for (int64_t col = 0; col < form_.rx; ++col) {
          const int64_t tap = phase.kernel[static_cast<size_t>((row * groups_ + group) * form_.rx + col)];
          ShortLanes& lanes = kernels[row * form_.rx + col];
          for (int64_t l = 0; l < kShortKernels; ++l)
            lanes[l] = tap < 0 || l >= count ? 0 : static_cast<double>(weights[l * apart + tap]);
        }
      }
      ShortWeights(form_, kernels, u);
      for (int64_t e = 0; e < form_.elems(); ++e) {
        float* to = packed + (e * groups_ + group) * step;
        for (int64_t l = 0; l < count; ++l) to[l] = static_cast<float>(u[e][l]);
      }
    }
    packed += form_.elems() * groups_ * step;
  }
}

// Panels: [phase][element][group][ic][channel of the panel].
void ShortWinogradKernel::PackWeights(PrepareContext& ctx) {
  const ConvGeometry& g = geometry_;
  const Tensor& weights = *ctx.constant(1);
  const int64_t width = TapPanel(), taps = g.window.kernel_elems(), elems = form_.elems();
  const int64_t step = ic_blocks_ * block_ * width, phase_elems = elems * groups_ * step;
  const int64_t panel_elems = static_cast<int64_t>(taps_.size()) * phase_elems;
  std::string format = "short winograd " + std::to_string(form_.ry) + ' ' + std::to_string(form_.rx) + ' ' +
                       std::to_string(transposed_) + ' ' + std::to_string(width) + ' ' +
                       std::to_string(block_) + ' ' + std::to_string(g.oc) + ' ' + std::to_string(g.ic);
  for (const PhaseTaps& phase : taps_) {
    for (int64_t tap : phase.kernel) format += ' ' + std::to_string(tap);
  }
  packed_ = PackShared(weights, format, panels_ * panel_elems * 4, [&](std::byte* to) {
    ForEachTile(panels_, [&](int64_t p) {
      float* panel = reinterpret_cast<float*>(to) + p * panel_elems;
      std::fill_n(panel, panel_elems, 0.0f);
      const int64_t end = std::min(g.oc, (p + 1) * width), apart = (transposed_ ? 1 : g.ic) * taps;
      for (int64_t o = p * width; o < end; o += kShortKernels) {
        for (int64_t i = 0; i < g.ic; ++i) {
          const float* kernel =
              static_cast<const float*>(weights.data()) + (transposed_ ? i * g.oc + o : o * g.ic + i) * taps;
          PackKernels(kernel, apart, std::min<int64_t>(kShortKernels, end - o), step,
                      panel + i * width + o - p * width);
        }
      }
    });
  });
  ctx.DropInput(1);
  if (has_bias_) bias_ = PackPadded(*ctx.constant(2), g.oc + std::max(width, block_));
}

ShortTile ShortWinogradKernel::TileAt(const Phase& phase, const PhaseTaps& taps, int64_t n, int64_t row,
                                      int64_t residue, int64_t col) const {
  const int64_t sy = form_.step_y, sx = form_.step_x;
  const int64_t y = form_.ry == 1 ? row : row / sy * 4 * sy + row % sy, x = col * 4 * sx + residue;
  ShortTile tile;
  tile.src = n * ic_blocks_ * shape_.y.in * shape_.x.in * block_;
  tile.y = y + taps.dy;
  tile.x = x + taps.dx;
  tile.dst = n * oc_blocks_ * shape_.y.out * shape_.x.out * block_ +
             ((phase.row + y * shape_.y.stride) * shape_.x.out + phase.col + x * shape_.x.stride) * block_;
  tile.rows = static_cast<int>(std::clamp<int64_t>(CeilDiv(phase.rows - y, sy), 0, form_.my()));
  tile.cols = static_cast<int>(std::clamp<int64_t>(CeilDiv(phase.cols - x, sx), 0, 4));
  return tile;
}

// The tiles of a band, those that only later groups read included (they have no outputs), and the blocks of
// tiles to be summed. How many tiles.
int64_t ShortWinogradKernel::ListTiles(size_t index, int64_t band, ShortTile* tiles, TapBlock* blocks,
                                       int64_t* num_blocks) const {
  const Phase& phase = shape_.phases[index];
  const PhaseTaps& taps = taps_[index];
  int64_t count = 0, of_blocks = 0;
  const auto add_blocks = [&](int64_t first, int64_t length) {
    const int64_t pieces = CeilDiv(length, TapRows());
    for (int64_t p = 0; p < pieces; ++p) {
      const Range piece = PieceOf(length, pieces, p);
      blocks[of_blocks].src = (first + piece.begin) * block_;
      blocks[of_blocks++].count = static_cast<int>(piece.end - piece.begin);
    }
  };
  if (groups_ == 1) {
    const int64_t of_row = residues_ * tile_cols_;
    const Range range = PieceOf(geometry_.n * tile_rows_ * of_row, bands_, band);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const int64_t row = i / of_row, col = i % of_row;
      tiles[count++] =
          TileAt(phase, taps, row / tile_rows_, row % tile_rows_, col / tile_cols_, col % tile_cols_);
    }
    add_blocks(0, count);
  } else {
    const int64_t row = band / bands_of_line_;
    const Range range = PieceOf(tile_cols_, bands_of_line_, band % bands_of_line_);
    for (int64_t residue = 0; residue < residues_; ++residue) {
      add_blocks(count, range.end - range.begin);
      for (int64_t col = range.begin; col < range.end + groups_ - 1; ++col) {
        tiles[count] = TileAt(phase, taps, row / tile_rows_, row % tile_rows_, residue, col);
        if (col >= range.end) tiles[count].cols = 0;
        ++count;
      }
    }
  }
  *num_blocks = of_blocks;
  return count;
}

void ShortWinogradKernel::Run(const RunContext& ctx, int64_t tile) const {
  const Range range = PieceOf(panels_, splits_, tile % splits_);
  for (size_t phase = 0; phase < taps_.size(); ++phase)
    RunPhase(ctx, phase, tile / splits_, range.begin, range.end - range.begin);
}

void ShortWinogradKernel::RunPhase(const RunContext& ctx, size_t phase, int64_t band, int64_t first_panel,
                                   int64_t panels) const {
  const Buffers buffers(*this, ctx.scratch<std::byte>());
  const int64_t width = TapPanel(), elems = form_.elems();
  const int64_t in_plane = form_.ih * form_.iw * block_, out_plane = shape_.y.out * shape_.x.out * block_;
  int64_t num_blocks = 0;
  const int64_t count = ListTiles(phase, band, buffers.tiles, buffers.blocks, &num_blocks);
  const int64_t elem_step = ic_blocks_ * count * block_ + kSkew;
  ShortInput(form_, ctx.in<float>(0), in_plane, ic_blocks_, buffers.tiles, count, elem_step,
             buffers.transformed);
  const int64_t step = ic_blocks_ * block_ * width;
  for (int64_t group = 0; group < groups_; ++group) buffers.taps[group] = {group * block_, group * step};
  for (int64_t i = 0; i < count; ++i) buffers.positions[i] = i * block_;
  for (int64_t b = 0; b < num_blocks; ++b) {
    TapBlock& block = buffers.blocks[b];
    block.taps = buffers.taps;
    block.num_taps = groups_;
    block.src_step = count * block_;
    block.dst = buffers.positions + block.src / block_;
  }

  const auto ops = post_ops_.For(ctx);
  const int64_t product_step = count * std::max(width, block_) + kSkew;
  for (int64_t p = first_panel; p < first_panel + panels; ++p) {
    const float* weights =
        static_cast<const float*>(packed_->data()) +
        (p * static_cast<int64_t>(taps_.size()) + static_cast<int64_t>(phase)) * elems * groups_ * step;
    TapSum sum;
    sum.block = block_;
    sum.ic_blocks = ic_blocks_;
    sum.dst_step = count * block_;
    sum.channels = std::min(width, oc_blocks_ * block_ - p * width);
    for (int64_t e = 0; e < elems; ++e) {
      sum.src = buffers.transformed + e * elem_step;
      sum.weights = weights + e * groups_ * step;
      sum.dst = buffers.products + e * product_step;
      SumTaps(sum, buffers.blocks, num_blocks);
    }
    for (int64_t c = 0; c < sum.channels; c += block_) {
      const int64_t channel = p * width + c, at = channel / block_ * out_plane + channel % block_;
      auto here = ops;
      for (VectorOp& op : here) {
        if (op.operand != nullptr) op.operand += op.by_channel ? channel : at;
      }
      ShortOutput(form_, buffers.products + c * count, product_step, buffers.tiles, count,
                  std::min(block_, width), geometry_.oc - channel,
                  has_bias_ ? static_cast<const float*>(bias_->data()) + channel : nullptr, here.data(),
                  post_ops_.size(), form_.step_y * shape_.y.stride * shape_.x.out * block_,
                  form_.step_x * shape_.x.stride * block_, ctx.out<float>(0) + at);
    }
  }
}

}  // namespace sluice
