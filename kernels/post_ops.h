#pragma once

#include <vector>

#include "kernels/kernel.h"

namespace sluice {

// Applies a node's post-ops, or those from some index on, to values that a kernel has just computed, floats with
// vectors where their operands allow: for what the kernel's library cannot fuse. Operands are read row-major, as they arrive
// unless the kernel asks for another layout.
class PostOpRunner {
 public:
  PostOpRunner() = default;
  // Declines operands that are no float type or do not broadcast to output 0.
  explicit PostOpRunner(const PrepareContext& ctx, size_t first = 0);

  bool empty() const { return steps_.empty(); }

  // A piece of the output: value [r, j] is at values[r * ld + j] and is the element of the row-major
  // output at begin + r * row_step, then j steps along `axis`.
  struct Piece {
    int64_t begin = 0, rows = 1, row_step = 0, cols = 1, ld = 0;
    size_t axis = 0;
  };
  // Sum is float or double. Thread-safe; no allocation.
  template <typename Sum>
  void Apply(const RunContext& ctx, Sum* values, const Piece& piece) const;

  // Pieces for consecutive elements [begin, begin + count) of the row-major output that are whole lines
  // of its last axis.
  Piece Lines(int64_t begin, int64_t count) const;
  // The valid channels of one block of channels, [c, c + channels) of image n, for pixels
  // [pixel, pixel + pixels), as they lie in a blocked layout (or channels-last: ld is all channels).
  Piece Block(int64_t n, int64_t c, int64_t channels, int64_t pixel, int64_t pixels, int64_t ld) const;

 private:
  struct Step {
    PostOp op;
    DataType dtype = DataType::kUndefined;
    std::vector<int64_t> strides;  // of the operand along the output's axes; 0 where it broadcasts
  };
  int64_t OperandIndex(const Step& step, int64_t position) const;
  bool ApplyVectors(const RunContext& ctx, const Step& step, float* values, const Piece& piece) const;

  Shape shape_;
  std::vector<Step> steps_;
};

}  // namespace sluice
