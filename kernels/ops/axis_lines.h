#pragma once

#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/moments.h"
#include "kernels/ops/axis_split.h"
#include "kernels/parallel.h"
#include "kernels/simd/normalize.h"

namespace sluice {

// The lines of a row-major tensor along one axis, in units of neighbours that are worked on together: whole
// rows, or columns side by side.
class AxisLines {
 public:
  static constexpr int64_t kMaxLines = 64;  // in a unit

  AxisLines() = default;
  explicit AxisLines(const AxisSplit& split) : split_(split) {
    const int64_t size = std::max<int64_t>(1, split.size);
    if (split.inner == 1) {
      lines_ = std::clamp<int64_t>(kUnitElems / size, 1, kMaxLines);
      units_ = (split.outer + lines_ - 1) / lines_;
    } else {
      lines_ = std::min(kMaxLines, std::max<int64_t>(1, split.inner));
      chunks_ = (split.inner + lines_ - 1) / lines_;
      units_ = split.outer * chunks_;
    }
    if (split.size == 0 || units_ == 0) return;
    tiles_ = PiecesOf(units_, 1 + kTileElems / (lines_ * size));
  }

  int64_t tiles() const { return tiles_; }
  int64_t length() const { return split_.size; }

  // Calls fn(where the unit begins, its lines as results of a fold) for the units of a tile.
  template <typename Fn>
  void ForEachUnit(int64_t tile, Fn&& fn) const {
    const Range range = PieceOf(units_, tiles_, tile);
    for (int64_t unit = range.begin; unit < range.end; ++unit) {
      if (split_.inner == 1) {
        const int64_t first = unit * lines_;
        fn(first * split_.size, FoldBox{std::min(lines_, split_.outer - first), split_.size, split_.size, 1});
      } else {
        const int64_t first = unit % chunks_ * lines_;
        fn(unit / chunks_ * split_.size * split_.inner + first,
           FoldBox{std::min(lines_, split_.inner - first), 1, split_.size, split_.inner});
      }
    }
  }

 private:
  static constexpr int64_t kUnitElems = 4096;  // rows of a unit together: they stay in the first cache
  static constexpr int64_t kTileElems = 32 * 1024;

  AxisSplit split_;
  int64_t lines_ = 1, chunks_ = 1, units_ = 0, tiles_ = 0;
};

// A box of floats as what ScaleLanes and ExpLanes take: calls fn(offset, positions, lanes, ld, first result).
template <typename Fn>
void ForEachLanes(const FoldBox& box, const Fn& fn) {
  if (box.count_step == 1 && box.length_step != 1) return fn(0, box.length, box.count, box.length_step, 0);
  for (int64_t j = 0; j < box.count; ++j) fn(j * box.count_step, box.length, 1, 1, j);
}

// dst = (src - mean[j]) * factor[j] for line j of a box, in T's arithmetic type.
template <typename T>
void ScaleBox(const T* src, const FoldBox& box, const double* mean, const double* factor, T* dst) {
  using Sum = ComputeType<T>;
  Sum means[AxisLines::kMaxLines], factors[AxisLines::kMaxLines], zeros[AxisLines::kMaxLines] = {};
  for (int64_t j = 0; j < box.count; ++j) {
    means[j] = static_cast<Sum>(mean[j]);
    factors[j] = static_cast<Sum>(factor[j]);
    // What rounding the mean loses.
    zeros[j] = static_cast<Sum>((static_cast<double>(means[j]) - mean[j]) * factor[j]);
    if (!(zeros[j] == zeros[j])) zeros[j] = 0;  // of infinities
  }
  if constexpr (std::is_same_v<T, float>) {
    ForEachLanes(box, [&](int64_t at, int64_t positions, int64_t lanes, int64_t ld, int64_t j) {
      ScaleLanes(src + at, positions, lanes, ld, {means + j, factors + j, zeros + j}, dst + at);
    });
  } else {
    for (int64_t i = 0; i < box.length; ++i) {
      for (int64_t j = 0; j < box.count; ++j) {
        const int64_t at = j * box.count_step + i * box.length_step;
        dst[at] = static_cast<T>((static_cast<Sum>(src[at]) - means[j]) * factors[j] + zeros[j]);
      }
    }
  }
}

}  // namespace sluice
