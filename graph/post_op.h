#pragma once

#include <string>

namespace sluice {

// A step applied to a node's first output, element by element, after the operator itself: what
// remains of an activation, residual or scale that a pass fused into the node. Applied in order.
struct PostOp {
  enum class Kind {
    kLeakyRelu,    // x >= 0 ? x : alpha * x
    kRelu,         // max(x, 0)
    kClip,         // min(max(x, alpha), beta)
    kSigmoid,      // 1 / (1 + exp(-x))
    kSilu,         // x * sigmoid(alpha * x)
    kHardSigmoid,  // min(max(alpha * x + beta, 0), 1)
    kHardSwish,    // x * min(max(alpha * x + beta, 0), 1)
    kTanh,
    kElu,          // x >= 0 ? x : alpha * (exp(x) - 1)
    kMish,         // x * tanh(log(1 + exp(x)))
    kGeluErf,      // x / 2 * (1 + erf(x / sqrt(2)))
    kGeluTanh,     // x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
    kLinear,       // alpha * x + beta
    kAbs,
    kExp,
    kSqrt,
    kSquare,
    kPRelu,        // x >= 0 ? x : operand * x
    kAdd,          // x + operand
    kMul,          // x * operand
  };

  Kind kind;
  float alpha = 0;
  float beta = 0;
  // For kPRelu, kAdd and kMul: index into Node::inputs of the operand, which broadcasts to the
  // output's shape in one direction (ONNX numpy-style rules, the output's shape does not grow).
  int operand = -1;
};

// "LeakyRelu", as the fused ONNX operator is called.
const char* PostOpName(PostOp::Kind kind);
// "LeakyRelu(0.1)", "Add".
std::string ToString(const PostOp& op);

}  // namespace sluice
