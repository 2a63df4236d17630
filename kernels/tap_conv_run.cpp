#include <algorithm>
#include <cstring>

#include "kernels/parallel.h"
#include "kernels/tap_conv_kernel.h"

namespace sluice {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A block of channels of one position, 8 or 16, or zeros. Sizes that the compiler knows spare a call.
void CopyBlock(const float* from, int64_t block, float* to) {
  if (from == nullptr)
    std::fill_n(to, block, 0.0f);
  else if (block == 16)
    std::memcpy(to, from, 16 * sizeof(float));
  else
    std::memcpy(to, from, 8 * sizeof(float));
}

}  // namespace

int64_t TapConvKernel::Buffers::BytesFor(const TapConvKernel& k) {
  return (k.copy_elems_ + 15) / 16 * 64 + k.max_blocks_ * static_cast<int64_t>(sizeof(TapBlock)) +
         k.max_taps_ * static_cast<int64_t>(sizeof(Tap)) +
         k.max_positions_ * static_cast<int64_t>(sizeof(int64_t));
}

TapConvKernel::Buffers::Buffers(const TapConvKernel& k, std::byte* memory)
    : copy(reinterpret_cast<float*>(memory)) {
  memory += (k.copy_elems_ + 15) / 16 * 64;
  blocks = reinterpret_cast<TapBlock*>(memory);
  taps = reinterpret_cast<Tap*>(blocks + k.max_blocks_);
  positions = reinterpret_cast<int64_t*>(taps + k.max_taps_);
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
      const int64_t line = ((phase.row + row * shape_.y.stride) * shape_.x.out + phase.col) * out_block_;
      for (int64_t p = 0; p < pieces; ++p) {
        const Range piece = PieceOf(cols, pieces, p);
        const int64_t col = band_cols.begin + piece.begin, count = piece.end - piece.begin;
        for (int64_t i = 0; i < count; ++i)
          positions[i] = line + (col + i) * shape_.x.stride * out_block_ +
                         n * geometry_.groups * oc_blocks_ * shape_.y.out * shape_.x.out * out_block_;
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
                oc_plane = shape_.y.out * shape_.x.out * out_block_;
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
                                          out_block_;
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
            CopyBlock(from[i] == nullptr ? nullptr : from[i] + c * ic_plane, block_, copy);
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
  const int64_t width = width_, plane = shape_.y.out * shape_.x.out * out_block_;
  auto ops = post_ops_.For(ctx);
  for (int64_t p = part.first_panel; p < part.first_panel + part.panels; ++p) {
    const int64_t in_group = p * width, channel = part.group * oc_blocks_ * out_block_ + in_group;
    const int64_t at = channel / out_block_ * plane + channel % out_block_;
    TapSum sum;
    sum.block = block_;
    sum.ic_blocks = ic_blocks_;
    sum.src = src;
    sum.dst_step = plane;
    sum.channels = oc_blocks_ * out_block_ - in_group;
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
    if (dots_)
      DotTaps(sum, blocks, count);
    else
      SumTaps(sum, blocks, count);
  }
  if (!rest_.empty()) ApplyRest(ctx, part, blocks, count);
}

// Position by position, since a phase's are not next to each other.
void TapConvKernel::ApplyRest(const RunContext& ctx, const Part& part, const TapBlock* blocks,
                              int64_t count) const {
  const int64_t plane = shape_.y.out * shape_.x.out * out_block_,
                image = geometry_.groups * oc_blocks_ * plane;
  const int64_t first = part.group * oc_blocks_ * out_block_ + part.first_panel * width_;
  const int64_t last =
      std::min({first + part.panels * width_, (part.group + 1) * oc_blocks_ * out_block_, geometry_.oc});
  for (int64_t b = 0; b < count; ++b) {
    for (int i = 0; i < blocks[b].count; ++i) {
      const int64_t n = blocks[b].dst[i] / image, pixel = blocks[b].dst[i] % image / out_block_;
      for (int64_t c = first; c < last; c += out_block_) {
        float* values = ctx.out<float>(0) + blocks[b].dst[i] + c / out_block_ * plane;
        rest_.Apply(ctx, values, rest_.Block(n, c, std::min(out_block_, last - c), pixel, 1, out_block_));
      }
    }
  }
}

}  // namespace sluice
