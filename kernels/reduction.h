#pragma once

#include <cstdint>
#include <vector>

#include "kernels/fold.h"
#include "kernels/layout.h"

namespace sluice {

// Where the elements lie that a reduction along axes folds into each of its results, in any layout: boxes of
// FoldBox, cut into units of at most kMaxCount results that are independent of each other.
class Reduction {
 public:
  static constexpr int64_t kMaxCount = 256;

  Reduction() = default;
  // dst has the sizes of src but for the reduced axes, which are gone or 1. Layouts other than kPlain as
  // AcceptsLayout and LayoutOfResult say.
  Reduction(const TensorDesc& src, const TensorDesc& dst, const std::vector<bool>& reduced);

  // Whether the padding of src's layout stays out of the results.
  static bool AcceptsLayout(const TensorDesc& src, const std::vector<bool>& reduced);
  // The layout in which the results come without scattering.
  static Layout LayoutOfResult(const TensorDesc& src, const TensorDesc& dst,
                               const std::vector<bool>& reduced);

  // Elements in one result.
  int64_t length() const { return length_; }
  int64_t tiles() const;

  // Results dst[j * dst_step], j < box.count, whose boxes start at src + Begin(i), i < boxes.
  struct Unit {
    FoldBox box;
    int64_t src, dst, dst_step;
    int64_t padding;  // elements behind the results that must be zero
  };
  // Calls fn(unit, boxes, begin) for the units of a tile; begin(i) is where box i starts in src.
  template <typename Fn>
  void ForEachUnit(int64_t tile, Fn&& fn) const;

 private:
  struct Axis {
    int64_t size, src, dst;  // strides in elements
  };
  struct Part {
    std::vector<Axis> kept, reduced;  // outermost first; never empty
    int64_t src = 0, dst = 0, padding = 0;
    int64_t chunks = 1, units = 0, boxes = 1, tiles = 0;
  };
  void AddPart(std::vector<Axis> kept, std::vector<Axis> reduced, int64_t src, int64_t dst, int64_t padding);
  Unit UnitOf(const Part& part, int64_t index) const;
  static int64_t BoxOffset(const Part& part, int64_t box);
  // The part that a tile belongs to; tile becomes its number in it.
  const Part& PartOf(int64_t& tile) const;
  static void UnitsOf(const Part& part, int64_t tile, int64_t& begin, int64_t& end);

  std::vector<Part> parts_;
  int64_t length_ = 1;
};

template <typename Fn>
void Reduction::ForEachUnit(int64_t tile, Fn&& fn) const {
  if (parts_.empty()) return;
  const Part& part = PartOf(tile);
  int64_t begin = 0, end = 0;
  UnitsOf(part, tile, begin, end);
  for (int64_t index = begin; index < end; ++index) {
    const Unit unit = UnitOf(part, index);
    fn(unit, part.boxes, [&](int64_t box) { return unit.src + BoxOffset(part, box); });
  }
}

}  // namespace sluice
