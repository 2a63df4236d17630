#include "kernels/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/dispatch.h"
#include "kernels/parallel.h"
#include "sluice/error.h"

namespace sluice {
namespace {

constexpr int64_t kMinTileElems = 32 * 1024;
// Longest part of one run: 256 KiB of floats.
constexpr int64_t kMaxRun = 64 * 1024;
// Side of a square in a transposition: 16 floats are a cache line on either side.
constexpr int64_t kSquare = 16;

}  // namespace

Shape RowMajorStrides(const Shape& shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

StridedCopy::StridedCopy(const Shape& sizes, const Shape& src_strides, const Shape& dst_strides,
                         int64_t src_offset, int64_t dst_offset)
    : src_offset_(src_offset), dst_offset_(dst_offset) {
  const int64_t count = NumElements(sizes);
  if (count == 0) return;
  std::vector<Axis> merged;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const Axis axis{sizes[i], src_strides[i], dst_strides[i]};
    if (axis.size == 1) continue;
    if (!merged.empty() && merged.back().src == axis.src * axis.size &&
        merged.back().dst == axis.dst * axis.size) {
      merged.back() = {merged.back().size * axis.size, axis.src, axis.dst};
    } else {
      merged.push_back(axis);
    }
  }
  if (!merged.empty()) {
    run_ = merged.back();
    merged.pop_back();
  }
  if (run_.src != 1 && run_.src != 0) {
    for (size_t i = 0; i < merged.size(); ++i) {
      if (merged[i].src != 1) continue;
      across_ = merged[i];
      transposed_ = true;
      merged.erase(merged.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
  }
  if (merged.size() > kMaxRank) {
    throw Error(ErrorCode::kUnsupported, "moving elements of shape " + ToString(sizes) +
                                             " across more than " + std::to_string(kMaxRank) + " axes");
  }
  outer_ = static_cast<int>(merged.size());
  std::copy(merged.begin(), merged.end(), axes_);
  const int64_t split = transposed_ ? across_.size : run_.size;
  part_ = std::min(split, transposed_ ? kSquare : kMaxRun);
  parts_ = (split + part_ - 1) / part_;
  units_ = parts_;
  for (const Axis& axis : merged) units_ *= axis.size;
  const int64_t per_unit = std::max<int64_t>(1, count / units_);
  tiles_ = PiecesOf(units_, (kMinTileElems + per_unit - 1) / per_unit);
}

template <typename T>
void StridedCopy::CopyUnit(const T* src, T* dst, int64_t part) const {
  const int64_t begin = part * part_;
  if (transposed_) {
    const int64_t width = std::min(part_, across_.size - begin);
    src += begin;  // across_.src is 1
    dst += begin * across_.dst;
    for (int64_t row = 0; row < run_.size; row += kSquare) {
      const int64_t rows = std::min(kSquare, run_.size - row);
      const T* from = src + row * run_.src;
      T* to = dst + row * run_.dst;
      for (int64_t j = 0; j < width; ++j) {
        for (int64_t i = 0; i < rows; ++i) to[j * across_.dst + i * run_.dst] = from[i * run_.src + j];
      }
    }
    return;
  }
  const int64_t size = std::min(part_, run_.size - begin);
  src += begin * run_.src;
  dst += begin * run_.dst;
  if (run_.dst == 1 && run_.src == 1) {
    std::copy(src, src + size, dst);
  } else if (run_.dst == 1 && run_.src == 0) {
    std::fill(dst, dst + size, *src);
  } else {
    for (int64_t i = 0; i < size; ++i) dst[i * run_.dst] = src[i * run_.src];
  }
}

template <typename T>
void StridedCopy::RunAs(const T* src, T* dst, int64_t tile) const {
  const auto [begin, end] = PieceOf(units_, tiles_, tile);
  int64_t index[kMaxRank];
  int64_t part = begin % parts_, rest = begin / parts_;
  src += src_offset_;
  dst += dst_offset_;
  int64_t src_at = 0, dst_at = 0;
  for (int i = outer_; i-- > 0;) {
    index[i] = rest % axes_[i].size;
    rest /= axes_[i].size;
    src_at += index[i] * axes_[i].src;
    dst_at += index[i] * axes_[i].dst;
  }
  for (int64_t unit = begin; unit < end; ++unit) {
    CopyUnit(src + src_at, dst + dst_at, part);
    if (++part < parts_) continue;
    part = 0;
    for (int i = outer_; i-- > 0;) {
      src_at += axes_[i].src;
      dst_at += axes_[i].dst;
      if (++index[i] < axes_[i].size) break;
      src_at -= axes_[i].size * axes_[i].src;
      dst_at -= axes_[i].size * axes_[i].dst;
      index[i] = 0;
    }
  }
}

void StridedCopy::Run(DataType type, const void* src, void* dst, int64_t tile) const {
  DispatchBySize(type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    RunAs(static_cast<const T*>(src), static_cast<T*>(dst), tile);
  });
}

}  // namespace sluice
