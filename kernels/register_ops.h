#pragma once

#include "kernels/kernel.h"
#include "kernels/simd/sum_ops.h"

namespace sluice {

// The first of a node's post-ops that its sums take in registers: an activation, an operand like the output,
// or both in either order.
class RegisterOps {
 public:
  RegisterOps() = default;
  // For a float output in `layout`; asks for the operand in that layout.
  RegisterOps(PrepareContext& ctx, Layout layout);

  // How many of the node's post-ops these are.
  size_t size() const { return size_; }
  // With the run's operand.
  SumOps For(const RunContext& ctx) const;

 private:
  SumOps ops_;
  size_t size_ = 0;
  int operand_ = -1;  // input
};

}  // namespace sluice
