#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/layout.h"

namespace sluice {

// dst[i0, i1, ...] = src[map0[i0], map1[i1], ...], and a fill value where a map has kFill: what padding,
// cropping, repeating, broadcasting and nearest-neighbour resizing have in common. Runs of the last map
// that count up are copied at once.
class MappedCopy {
 public:
  static constexpr int64_t kFill = -1;

  MappedCopy() = default;
  // One map for each size of src, with entries in [0, size) or kFill; its length is dst's size.
  // Throws Error{kUnsupported} for more than kMaxRank axes that are no copies.
  MappedCopy(const Shape& src_sizes, std::vector<std::vector<int64_t>> maps);

  int64_t tiles() const { return tiles_; }
  // `fill` points to one element; null: all bits zero (the empty string).
  void Run(DataType type, const void* src, void* dst, const void* fill, int64_t tile) const;

 private:
  static constexpr int kMaxRank = 16;
  struct Stretch {
    int64_t begin, size, src;  // src < 0: fill
  };
  template <typename T>
  void RunAs(const T* src, T* dst, const T& fill, int64_t tile) const;

  std::vector<std::vector<int64_t>> maps_;  // of the outer axes, in elements of src
  std::vector<int64_t> last_;               // of the innermost axis
  std::vector<Stretch> stretches_;          // the same in runs; empty where they are too short to pay
  int64_t rows_ = 0, row_size_ = 0;
  int64_t tiles_ = 1;
};

// A map to be filled in. Throws Error{kOutOfMemory}: one of bytes may take more than what it maps.
std::vector<int64_t> NewMap(int64_t size);
// [0, size): the map that copies an axis.
std::vector<int64_t> IdentityMap(int64_t size);

}  // namespace sluice
