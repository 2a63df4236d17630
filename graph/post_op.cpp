#include "graph/post_op.h"

#include <cstdio>

namespace sluice {

const char* PostOpName(PostOp::Kind kind) {
  using Kind = PostOp::Kind;
  switch (kind) {
    case Kind::kLeakyRelu: return "LeakyRelu";
    case Kind::kRelu: return "Relu";
    case Kind::kClip: return "Clip";
    case Kind::kSigmoid: return "Sigmoid";
    case Kind::kSilu: return "SiLU";
    case Kind::kHardSigmoid: return "HardSigmoid";
    case Kind::kHardSwish: return "HardSwish";
    case Kind::kTanh: return "Tanh";
    case Kind::kElu: return "Elu";
    case Kind::kMish: return "Mish";
    case Kind::kGeluErf: return "Gelu";
    case Kind::kGeluTanh: return "GeluTanh";
    case Kind::kLinear: return "Linear";
    case Kind::kAbs: return "Abs";
    case Kind::kExp: return "Exp";
    case Kind::kSqrt: return "Sqrt";
    case Kind::kSquare: return "Square";
    case Kind::kPRelu: return "PRelu";
    case Kind::kAdd: return "Add";
    case Kind::kMul: return "Mul";
  }
  return "?";
}

std::string ToString(const PostOp& op) {
  using Kind = PostOp::Kind;
  char text[64];
  switch (op.kind) {
    case Kind::kLeakyRelu:
    case Kind::kElu:
      std::snprintf(text, sizeof text, "%s(%g)", PostOpName(op.kind), op.alpha);
      return text;
    case Kind::kClip:
    case Kind::kHardSigmoid:
    case Kind::kHardSwish:
    case Kind::kLinear:
      std::snprintf(text, sizeof text, "%s(%g, %g)", PostOpName(op.kind), op.alpha, op.beta);
      return text;
    default:
      return PostOpName(op.kind);
  }
}

}  // namespace sluice
