#include "kernels/register_ops.h"

#include <limits>

namespace sluice {
namespace {

// Whether `op` is an activation that sums can take; it is in `ops` then.
bool TakeActivation(const PostOp& op, SumOps& ops) {
  switch (op.kind) {
    case PostOp::Kind::kRelu:
      ops.high = std::numeric_limits<float>::infinity();
      break;
    case PostOp::Kind::kClip:
      if (!(op.alpha <= 0 && op.beta >= 0)) return false;
      ops.low = op.alpha;
      ops.high = op.beta;
      break;
    case PostOp::Kind::kLeakyRelu:
      if (!(op.alpha > 0 && op.alpha <= 1)) return false;
      ops.slope = op.alpha;
      ops.activation = SumOps::Activation::kLeaky;
      return true;
    default:
      return false;
  }
  ops.activation = SumOps::Activation::kClamp;
  return true;
}

}  // namespace

RegisterOps::RegisterOps(PrepareContext& ctx, Layout layout) {
  for (const PostOp& op : ctx.post_ops()) {
    if (op.kind == PostOp::Kind::kAdd && operand_ < 0) {
      const TensorDesc& operand = ctx.input(op.operand);
      if (operand.dtype != DataType::kFloat || operand.shape != ctx.output(0).shape) return;
      operand_ = op.operand;
      ops_.operand_first = ops_.activation == SumOps::Activation::kNone;
      ctx.SetInputLayout(operand_, layout);
    } else if (ops_.activation != SumOps::Activation::kNone || !TakeActivation(op, ops_)) {
      return;
    }
    ++size_;
  }
}

SumOps RegisterOps::For(const RunContext& ctx) const {
  SumOps ops = ops_;
  if (operand_ >= 0) ops.operand = ctx.in<float>(operand_);
  return ops;
}

}  // namespace sluice
