#pragma once

#include <vector>

#include "graph/post_op.h"

namespace sluice::test {

// Every post-op without an operand that is defined for all numbers, with parameters that show.
inline std::vector<PostOp> UnaryPostOps() {
  using Kind = PostOp::Kind;
  return {{Kind::kLeakyRelu, 0.1f},
          {Kind::kRelu},
          {Kind::kClip, -0.5f, 2},
          {Kind::kSigmoid},
          {Kind::kSilu, 1},
          {Kind::kSilu, 1.702f},
          {Kind::kHardSigmoid, 0.2f, 0.5f},
          {Kind::kHardSwish, 1.0f / 6, 0.5f},
          {Kind::kTanh},
          {Kind::kElu, 0.7f},
          {Kind::kMish},
          {Kind::kGeluErf},
          {Kind::kGeluTanh},
          {Kind::kLinear, 2, -3},
          {Kind::kAbs},
          {Kind::kSquare}};
}

}  // namespace sluice::test
