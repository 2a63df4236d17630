#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/parallel.h"

namespace sluice {

// How the elements of up to three operands meet those of an output: the loop nest of an element-wise
// operator, with axes merged where all operands allow it, cut into tiles.
//
// Layouts: where an input of the output's shape comes blocked or channels-last, the output is written in that
// layout and other inputs of that shape are asked for in it; smaller inputs are read row-major, wherever they
// broadcast. So a chain of operators keeps the layout of the convolution before it. A blocked layout is kept
// only if its blocks are full, so no operator ever writes into padding.
class Broadcast {
 public:
  static constexpr size_t kMaxOperands = 3;
  static constexpr size_t kMaxAxes = 24;  // left after merging; more are declined
  // An input of the node, under a shape that broadcasts to output 0 as numpy has it.
  struct Operand {
    int input;
    Shape shape;
  };
  // The inputs [0, count) under their own shapes.
  static std::vector<Operand> Inputs(const PrepareContext& ctx, int count);

  Broadcast() = default;
  // Sets the layouts of output 0 and of the operands. Several may be made for one node, of some of its inputs
  // each: their rows are different, their tiles the same.
  Broadcast(PrepareContext& ctx, const std::vector<Operand>& operands);

  int64_t tiles() const { return tiles_; }

  // Calls row(dst, src, count) for runs of consecutive output elements: `dst` is the index of the first,
  // `src` are those of the operands' first elements, whose neighbours are step(operand) apart.
  template <typename Row>
  void ForEachRow(int64_t tile, const Row& row) const;

  // Distance between an operand's elements along a row, in elements.
  int64_t step(size_t operand) const { return inner_step_[operand]; }

 private:
  struct Axis {
    int64_t size = 1;
    std::array<int64_t, kMaxOperands> strides = {};
  };
  void Merge(const std::vector<Axis>& axes);

  size_t operands_ = 0;
  std::vector<Axis> outer_;  // outermost first
  int64_t inner_ = 1;
  std::array<int64_t, kMaxOperands> inner_step_ = {};
  int64_t total_ = 0;
  int64_t tiles_ = 0;
};

template <typename Row>
void Broadcast::ForEachRow(int64_t tile, const Row& row) const {
  const Range range = PieceOf(total_, tiles_, tile);
  // Where the row that `at` lies in begins in each operand, and the outer position of it.
  std::array<int64_t, kMaxOperands> base = {};
  std::array<int64_t, kMaxAxes> index = {};
  int64_t position = range.begin / inner_;
  for (size_t axis = outer_.size(); axis-- > 0;) {
    index[axis] = position % outer_[axis].size;
    position /= outer_[axis].size;
    for (size_t i = 0; i < operands_; ++i) base[i] += index[axis] * outer_[axis].strides[i];
  }
  int64_t within = range.begin % inner_;
  for (int64_t at = range.begin; at < range.end;) {
    const int64_t count = std::min(inner_ - within, range.end - at);
    std::array<int64_t, kMaxOperands> src = base;
    for (size_t i = 0; i < operands_; ++i) src[i] += within * inner_step_[i];
    row(at, src, count);
    at += count;
    within = 0;
    for (size_t axis = outer_.size(); axis-- > 0;) {
      for (size_t i = 0; i < operands_; ++i) base[i] += outer_[axis].strides[i];
      if (++index[axis] < outer_[axis].size) break;
      index[axis] = 0;
      for (size_t i = 0; i < operands_; ++i) base[i] -= outer_[axis].strides[i] * outer_[axis].size;
    }
  }
}

}  // namespace sluice
