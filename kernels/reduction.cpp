#include "kernels/reduction.h"

#include <algorithm>

#include "kernels/memory_order.h"
#include "kernels/parallel.h"
#include "kernels/strided_copy.h"

namespace sluice {
namespace {

// A tile reads at least this many elements: below, starting it costs as much as it does.
constexpr int64_t kMinTileElems = 32 * 1024;

bool ReducesChannels(const std::vector<bool>& reduced) { return reduced.size() > 1 && reduced[1]; }

}  // namespace

bool Reduction::AcceptsLayout(const TensorDesc& src, const std::vector<bool>& reduced) {
  const int64_t block = BlockOf(src.layout);
  return block == 1 || !ReducesChannels(reduced) || src.shape[1] % block == 0;
}

Layout Reduction::LayoutOfResult(const TensorDesc& src, const TensorDesc& dst,
                                 const std::vector<bool>& reduced) {
  if (dst.shape.size() != src.shape.size()) return Layout::kPlain;
  return BlockOf(src.layout) > 1 && ReducesChannels(reduced) ? Layout::kPlain : src.layout;
}

Reduction::Reduction(const TensorDesc& src, const TensorDesc& dst, const std::vector<bool>& reduced) {
  for (size_t i = 0; i < reduced.size(); ++i) length_ *= reduced[i] ? src.shape[i] : 1;
  if (dst.num_elements() == 0) return;
  const MemoryOrder from(src), to(dst);
  const Shape src_strides = RowMajorStrides(from.sizes), dst_strides = RowMajorStrides(to.sizes);
  const int64_t block = BlockOf(src.layout);

  // Strides in dst of src's axes, and the axes of src in memory order.
  std::vector<int64_t> dst_stride(src.shape.size(), 0);
  for (size_t i = 0, out = 0; i < src.shape.size(); ++i) {
    const bool there = dst.shape.size() == src.shape.size() || !reduced[i];
    if (there && !reduced[i]) dst_stride[i] = dst_strides[static_cast<size_t>(to.position[out])];
    if (there) ++out;
  }
  std::vector<size_t> axis_at(from.sizes.size(), 1);
  for (size_t i = 0; i < from.position.size(); ++i) axis_at[static_cast<size_t>(from.position[i])] = i;

  const bool ragged = block > 1 && src.shape[1] % block != 0;
  const int64_t whole_blocks = block > 1 ? src.shape[1] / block : 0;
  const bool same_blocks = block > 1 && dst.layout == src.layout;
  const auto add = [&](int64_t first_block, int64_t blocks, int64_t lanes) {
    std::vector<Axis> kept, folded;
    int64_t src_begin = 0, dst_begin = 0;
    for (size_t p = 0; p < from.sizes.size(); ++p) {
      const size_t i = axis_at[p];
      Axis axis{from.sizes[p], src_strides[p], dst_stride[i]};
      if (block > 1 && i == 1) {
        const bool is_lane = p + 1 == from.sizes.size();
        if (is_lane) {
          axis.size = lanes;
          if (same_blocks) axis.dst = 1;
        } else {
          axis.size = blocks;
          if (!same_blocks) axis.dst *= block;
          src_begin += first_block * axis.src;
          dst_begin += first_block * axis.dst;
        }
      }
      (reduced[i] ? folded : kept).push_back(axis);
    }
    AddPart(std::move(kept), std::move(folded), src_begin, dst_begin, same_blocks ? block - lanes : 0);
  };
  if (!ragged) {
    add(0, whole_blocks, block);
  } else {
    if (whole_blocks > 0) add(0, whole_blocks, block);
    add(whole_blocks, 1, src.shape[1] % block);
  }
}

void Reduction::AddPart(std::vector<Axis> kept, std::vector<Axis> reduced, int64_t src, int64_t dst,
                        int64_t padding) {
  // Lanes in front of padding stay an axis of their own.
  const auto merge = [](std::vector<Axis>& axes, bool keep_last) {
    std::vector<Axis> merged;
    for (const Axis& axis : axes) {
      const bool keep = keep_last && &axis == &axes.back();
      if (axis.size == 1 && !keep) continue;
      if (!keep && !merged.empty() && merged.back().src == axis.size * axis.src &&
          merged.back().dst == axis.size * axis.dst) {
        merged.back() = {merged.back().size * axis.size, axis.src, axis.dst};
      } else {
        merged.push_back(axis);
      }
    }
    if (merged.empty()) merged.push_back({1, 1, 1});
    axes = std::move(merged);
  };
  merge(kept, padding > 0);
  merge(reduced, false);
  Part part{std::move(kept), std::move(reduced), src, dst, padding};
  part.chunks = (part.kept.back().size + kMaxCount - 1) / kMaxCount;
  part.units = part.chunks;
  for (size_t i = 0; i + 1 < part.kept.size(); ++i) part.units *= part.kept[i].size;
  for (size_t i = 0; i + 1 < part.reduced.size(); ++i) part.boxes *= part.reduced[i].size;
  const int64_t unit_elems = std::min(part.kept.back().size, kMaxCount) * std::max<int64_t>(length_, 1);
  part.tiles = PiecesOf(part.units, kMinTileElems / unit_elems + 1);
  parts_.push_back(std::move(part));
}

int64_t Reduction::tiles() const {
  int64_t tiles = 0;
  for (const Part& part : parts_) tiles += part.tiles;
  return std::max<int64_t>(tiles, 1);
}

const Reduction::Part& Reduction::PartOf(int64_t& tile) const {
  size_t i = 0;
  for (; tile >= parts_[i].tiles; ++i) tile -= parts_[i].tiles;
  return parts_[i];
}

void Reduction::UnitsOf(const Part& part, int64_t tile, int64_t& begin, int64_t& end) {
  const Range range = PieceOf(part.units, part.tiles, tile);
  begin = range.begin;
  end = range.end;
}

Reduction::Unit Reduction::UnitOf(const Part& part, int64_t index) const {
  const Axis& inner = part.kept.back();
  const int64_t first = index % part.chunks * kMaxCount;
  Unit unit{
      {std::min(kMaxCount, inner.size - first), inner.src, part.reduced.back().size, part.reduced.back().src},
      part.src + first * inner.src,
      part.dst + first * inner.dst,
      inner.dst,
      part.padding};
  int64_t rest = index / part.chunks;
  for (size_t i = part.kept.size() - 1; i-- > 0; rest /= part.kept[i].size) {
    unit.src += rest % part.kept[i].size * part.kept[i].src;
    unit.dst += rest % part.kept[i].size * part.kept[i].dst;
  }
  return unit;
}

int64_t Reduction::BoxOffset(const Part& part, int64_t box) {
  int64_t offset = 0;
  for (size_t i = part.reduced.size() - 1; i-- > 0; box /= part.reduced[i].size) {
    offset += box % part.reduced[i].size * part.reduced[i].src;
  }
  return offset;
}

}  // namespace sluice
