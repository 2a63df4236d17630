#include "kernels/reorder.h"

#include <algorithm>
#include <cstring>

#include "kernels/parallel.h"
#include "sluice/error.h"

namespace sluice {
namespace {

constexpr int64_t kMinTileElems = 32 * 1024;
// Channels that one unit of work moves: the largest block.
constexpr int64_t kGroup = 16;

struct Geometry {
  int64_t n, c, spatial;

  explicit Geometry(const Shape& shape) : n(shape[0]), c(shape[1]), spatial(1) {
    for (size_t i = 2; i < shape.size(); ++i) spatial *= shape[i];
  }
  int64_t groups() const { return (c + kGroup - 1) / kGroup; }
};

// Where channel c of image n begins, and how far apart its spatial neighbours are.
struct Channel {
  int64_t offset, stride;
};

Channel ChannelOf(const Geometry& g, Layout layout, int64_t n, int64_t c) {
  const int64_t block = BlockOf(layout);
  if (layout == Layout::kPlain) return {(n * g.c + c) * g.spatial, 1};
  if (layout == Layout::kChannelsLast) return {n * g.spatial * g.c + c, g.c};
  const int64_t blocks = (g.c + block - 1) / block;
  return {((n * blocks + c / block) * g.spatial) * block + c % block, block};
}

}  // namespace

int64_t ReorderTiles(const TensorDesc& src, const TensorDesc&) {
  const Geometry g(src.shape);
  const int64_t units = g.n * g.groups();
  const int64_t per_unit = std::max<int64_t>(1, kGroup * g.spatial);
  return units == 0 ? 1 : PiecesOf(units, (kMinTileElems + per_unit - 1) / per_unit);
}

void RunReorder(const TensorDesc& src, const void* src_data, const TensorDesc& dst, void* dst_data,
                int64_t tile) {
  if (src.dtype != DataType::kFloat || src.shape.size() < 3 || src.shape.size() > 5) {
    throw Error(ErrorCode::kInternal, "reorder of a " + std::string(DataTypeName(src.dtype)) + " tensor " +
                                          ToString(src.shape));
  }
  const Geometry g(src.shape);
  const auto* from = static_cast<const float*>(src_data);
  auto* to = static_cast<float*>(dst_data);
  const Range units = PieceOf(g.n * g.groups(), ReorderTiles(src, dst), tile);
  const int64_t dst_block = BlockOf(dst.layout);
  // Pixels in strips that keep the strided side in the cache while its neighbours are visited.
  constexpr int64_t kStrip = 256;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t n = unit / g.groups(), first = unit % g.groups() * kGroup;
    const int64_t last = std::min(first + kGroup, g.c);
    const int64_t padded = std::min(first + kGroup, (g.c + dst_block - 1) / dst_block * dst_block);
    for (int64_t begin = 0; begin < g.spatial; begin += kStrip) {
      const int64_t end = std::min(begin + kStrip, g.spatial);
      for (int64_t c = first; c < last; ++c) {
        const Channel s = ChannelOf(g, src.layout, n, c), d = ChannelOf(g, dst.layout, n, c);
        for (int64_t i = begin; i < end; ++i) to[d.offset + i * d.stride] = from[s.offset + i * s.stride];
      }
      for (int64_t c = last; c < padded; ++c) {
        const Channel d = ChannelOf(g, dst.layout, n, c);
        for (int64_t i = begin; i < end; ++i) to[d.offset + i * d.stride] = 0;
      }
    }
  }
}

}  // namespace sluice
