#pragma once

#include <array>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/simd/vector_ops.h"

namespace sluice {

// The first of a node's post-ops that kernels of our own apply in registers, up to one that they cannot.
class VectorPostOps {
 public:
  static constexpr size_t kMaxOps = 8;

  VectorPostOps() = default;
  // For an output [n, c, ...] in `layout`. Operands that are like the output are asked for in that layout;
  // those with one constant value a channel are kept here, followed by zeros, `slack` and a block of them at least.
  VectorPostOps(PrepareContext& ctx, Layout layout, int64_t slack);

  // How many of the node's post-ops these are.
  int size() const { return static_cast<int>(ops_.size()); }
  // With the run's operands.
  std::array<VectorOp, kMaxOps> For(const RunContext& ctx) const;

 private:
  struct Op {
    VectorOp op;
    int input = -1;               // an operand like the output
    std::vector<float> channels;  // one value a channel
  };
  std::vector<Op> ops_;
};

}  // namespace sluice
