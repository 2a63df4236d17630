#pragma once

#include "graph/post_op.h"

namespace sluice {

// A post-op that kernels of our own apply to results in registers.
struct VectorOp {
  PostOp::Kind kind = PostOp::Kind::kRelu;
  float alpha = 0, beta = 0;
  // kAdd, kMul, kPRelu: a tensor like dst, or one value a channel, with a panel of channels more than there
  // are.
  const float* operand = nullptr;
  bool by_channel = false;
};

}  // namespace sluice
