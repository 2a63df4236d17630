#pragma once

#include <cstdint>

#include "kernels/layout.h"

namespace sluice {

// Strides, in elements, of a row-major array.
Shape RowMajorStrides(const Shape& shape);

// Copies a box of elements from one strided array to another: what slicing, concatenation, splitting
// and transposition have in common. Sizes that are adjacent in both arrays are merged, so that whole
// runs are moved at once; where the source's innermost size is not the destination's, squares are
// transposed. Nothing may overlap.
class StridedCopy {
 public:
  StridedCopy() = default;
  // Strides and offsets in elements; strides of either sign, 0 in src repeats an element.
  // Throws Error{kUnsupported} for more than kMaxRank sizes after merging.
  StridedCopy(const Shape& sizes, const Shape& src_strides, const Shape& dst_strides, int64_t src_offset = 0,
              int64_t dst_offset = 0);

  // Independent pieces; from the sizes alone. 0 if there is nothing to copy.
  int64_t tiles() const { return tiles_; }
  // Elements of `type`, 8 bits or more (strings too).
  void Run(DataType type, const void* src, void* dst, int64_t tile) const;

 private:
  static constexpr int kMaxRank = 16;
  struct Axis {
    int64_t size, src, dst;  // strides
  };
  template <typename T>
  void RunAs(const T* src, T* dst, int64_t tile) const;
  template <typename T>
  void CopyUnit(const T* src, T* dst, int64_t part) const;

  // Outer axes, then the innermost: a run, or with transposed_ a square of run_ and across_.
  int outer_ = 0;
  Axis axes_[kMaxRank] = {};
  Axis run_ = {1, 1, 1};
  Axis across_ = {1, 0, 0};
  bool transposed_ = false;
  int64_t src_offset_ = 0, dst_offset_ = 0;
  int64_t part_ = 1, parts_ = 1;  // length of a part of a run (transposed: of across_), their number
  int64_t units_ = 0;             // outer positions times parts
  int64_t tiles_ = 0;
};

}  // namespace sluice
