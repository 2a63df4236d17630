#include "kernels/mapped_copy.h"

#include <algorithm>
#include <numeric>

#include "kernels/dispatch.h"
#include "kernels/parallel.h"
#include "kernels/strided_copy.h"
#include "sluice/error.h"

namespace sluice {
namespace {

constexpr int64_t kMinTileElems = 32 * 1024;
// Shorter runs are cheaper element by element.
constexpr int64_t kMinRun = 6;

bool IsIdentity(const std::vector<int64_t>& map, int64_t size) {
  if (static_cast<int64_t>(map.size()) != size) return false;
  for (int64_t i = 0; i < size; ++i) {
    if (map[static_cast<size_t>(i)] != i) return false;
  }
  return true;
}

}  // namespace

std::vector<int64_t> NewMap(int64_t size) {
  CheckMemory(ByteSize(DataType::kInt64, size));
  return std::vector<int64_t>(static_cast<size_t>(size));
}

std::vector<int64_t> IdentityMap(int64_t size) {
  std::vector<int64_t> map = NewMap(size);
  std::iota(map.begin(), map.end(), int64_t{0});
  return map;
}

MappedCopy::MappedCopy(const Shape& src_sizes, std::vector<std::vector<int64_t>> maps) {
  Shape dst_sizes;
  for (const auto& map : maps) dst_sizes.push_back(static_cast<int64_t>(map.size()));
  if (NumElements(dst_sizes) == 0) return;
  // Innermost axes that are copied become one run of `inner` elements.
  size_t rank = maps.size();
  int64_t inner = 1;
  while (rank > 0 && IsIdentity(maps[rank - 1], src_sizes[rank - 1])) inner *= src_sizes[--rank];
  // Neighbouring axes that are copied become one, so that the odometer is short.
  int64_t stride = inner;
  std::vector<std::vector<int64_t>> outer;
  bool copied_before = false;
  for (size_t i = rank; i-- > 0;) {
    std::vector<int64_t>& map = maps[i];
    const bool copied = IsIdentity(map, src_sizes[i]);
    if (copied && copied_before) {
      const int64_t merged = static_cast<int64_t>(outer.back().size()) * src_sizes[i];
      const int64_t step = stride / static_cast<int64_t>(outer.back().size());
      outer.back() = IdentityMap(merged);
      for (int64_t& offset : outer.back()) offset *= step;
    } else {
      for (int64_t& offset : map) offset = offset < 0 ? kFill : offset * stride;
      outer.push_back(std::move(map));
    }
    copied_before = copied;
    stride *= src_sizes[i];
  }
  if (outer.empty()) outer.push_back({0});
  // Now outer[0] is the innermost axis.
  for (int64_t i = 0; i < static_cast<int64_t>(outer[0].size()); ++i) {
    const int64_t src = outer[0][static_cast<size_t>(i)];
    Stretch* back = stretches_.empty() ? nullptr : &stretches_.back();
    if (back && (src < 0 ? back->src < 0 : back->src >= 0 && src == back->src + back->size)) {
      back->size += inner;
    } else {
      stretches_.push_back({i * inner, inner, src});
    }
  }
  row_size_ = static_cast<int64_t>(outer[0].size()) * inner;
  if (inner == 1 && row_size_ < kMinRun * static_cast<int64_t>(stretches_.size())) stretches_.clear();
  last_ = std::move(outer[0]);
  maps_.assign(std::make_move_iterator(outer.rbegin()), std::make_move_iterator(outer.rend() - 1));
  if (maps_.size() > kMaxRank) {
    throw Error(ErrorCode::kUnsupported, "shape " + ToString(dst_sizes) + " has too many axes that change");
  }
  rows_ = NumElements(dst_sizes) / row_size_;
  tiles_ = PiecesOf(rows_, (kMinTileElems + row_size_ - 1) / row_size_);
}

template <typename T>
void MappedCopy::RunAs(const T* src, T* dst, const T& fill, int64_t tile) const {
  const auto [begin, end] = PieceOf(rows_, tiles_, tile);
  size_t index[kMaxRank];
  int64_t rest = begin;
  for (size_t i = maps_.size(); i-- > 0;) {
    index[i] = static_cast<size_t>(rest % static_cast<int64_t>(maps_[i].size()));
    rest /= static_cast<int64_t>(maps_[i].size());
  }
  int64_t previous = -1;
  for (int64_t row = begin; row < end; ++row) {
    T* to = dst + row * row_size_;
    int64_t offset = 0;
    bool filled = false;
    for (size_t i = 0; i < maps_.size(); ++i) {
      const int64_t at = maps_[i][index[i]];
      filled = filled || at < 0;
      offset += at;
    }
    if (filled) {
      std::fill(to, to + row_size_, fill);
    } else if (offset == previous) {
      std::copy(to - row_size_, to, to);
    } else if (stretches_.empty()) {
      for (int64_t i = 0; i < row_size_; ++i) {
        const int64_t at = last_[static_cast<size_t>(i)];
        to[i] = at < 0 ? fill : src[offset + at];
      }
    } else {
      for (const Stretch& s : stretches_) {
        if (s.src < 0)
          std::fill(to + s.begin, to + s.begin + s.size, fill);
        else
          std::copy(src + offset + s.src, src + offset + s.src + s.size, to + s.begin);
      }
    }
    previous = filled ? -1 : offset;
    for (size_t i = maps_.size(); i-- > 0;) {
      if (++index[i] < maps_[i].size()) break;
      index[i] = 0;
    }
  }
}

void MappedCopy::Run(DataType type, const void* src, void* dst, const void* fill, int64_t tile) const {
  DispatchBySize(type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T zero{};
    RunAs(static_cast<const T*>(src), static_cast<T*>(dst), fill ? *static_cast<const T*>(fill) : zero, tile);
  });
}

}  // namespace sluice
