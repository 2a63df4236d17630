#include "kernels/onednn/post_ops.h"

#include "kernels/onednn/attr.h"

namespace sluice::onednn {
namespace {

using Kind = PostOp::Kind;
using Reach = FusedOp::Reach;
using dnnl::algorithm;

Reach ReachOf(const Shape& operand, const Shape& output, int64_t channel_axis) {
  const int64_t rank = static_cast<int64_t>(output.size()), lead = rank - static_cast<int64_t>(operand.size());
  if (lead < 0) return Reach::kNone;
  bool scalar = true, full = lead == 0, channel = true;
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t size = i < lead ? 1 : operand[static_cast<size_t>(i - lead)];
    const int64_t whole = output[static_cast<size_t>(i)];
    scalar &= size == 1;
    full &= size == whole;
    channel &= size == (i == channel_axis ? whole : 1);
  }
  return scalar ? Reach::kScalar : channel ? Reach::kChannel : full ? Reach::kFull : Reach::kNone;
}

// A sum or product with a number known at Prepare needs no operand.
bool AsLinear(const PrepareContext& ctx, PostOp& op) {
  const Tensor* constant = ctx.constant(op.operand);
  if (constant == nullptr || constant->dtype() != DataType::kFloat || constant->num_elements() != 1) return false;
  const float value = constant->values<float>()[0];
  op = op.kind == Kind::kAdd ? PostOp{Kind::kLinear, 1, value} : PostOp{Kind::kLinear, value, 0};
  return true;
}

struct Eltwise {
  algorithm which;
  float alpha = 0, beta = 0;
};

// The element-wise steps that make up a post-op; none for those with operands and those that oneDNN
// does not have.
std::vector<Eltwise> EltwisesOf(const PostOp& op) {
  switch (op.kind) {
    case Kind::kLeakyRelu: return {{algorithm::eltwise_relu, op.alpha}};
    case Kind::kRelu: return {{algorithm::eltwise_relu}};
    case Kind::kClip: return {{algorithm::eltwise_clip, op.alpha, op.beta}};
    case Kind::kSigmoid:
      // On the grid of Grid() in kernels/ops/activation.cpp, so that fused and separate agree.
      return {{algorithm::eltwise_logistic}, {algorithm::eltwise_linear, 1, -0.5f}, {algorithm::eltwise_linear, 1, 0.5f}};
    case Kind::kSilu: return {{algorithm::eltwise_swish, op.alpha}};
    case Kind::kHardSigmoid:
      return {{algorithm::eltwise_linear, op.alpha, op.beta}, {algorithm::eltwise_clip, 0, 1}};
    case Kind::kHardSwish:
      // Of fixed slope in oneDNN 2.
      if (std::abs(op.alpha - 1.0f / 6) > 1e-6f || op.beta != 0.5f) return {};
      return {{algorithm::eltwise_hardswish}};
    case Kind::kTanh: return {{algorithm::eltwise_tanh}};
    case Kind::kElu: return {{algorithm::eltwise_elu, op.alpha}};
    case Kind::kMish: return {{algorithm::eltwise_mish}};
    case Kind::kGeluErf: return {{algorithm::eltwise_gelu_erf}};
    case Kind::kGeluTanh: return {{algorithm::eltwise_gelu_tanh}};
    case Kind::kLinear: return {{algorithm::eltwise_linear, op.alpha, op.beta}};
    case Kind::kAbs: return {{algorithm::eltwise_abs}};
    case Kind::kExp: return {{algorithm::eltwise_exp}};
    case Kind::kSqrt: return {{algorithm::eltwise_sqrt}};
    case Kind::kSquare: return {{algorithm::eltwise_square}};
    case Kind::kPRelu:
    case Kind::kAdd:
    case Kind::kMul: break;
  }
  return {};
}

// oneDNN 2.6 keeps the code of a chain's element-wise steps by algorithm: a second one with other
// parameters would run with the first one's.
bool FitsInChain(std::vector<Eltwise>& chain, const std::vector<Eltwise>& next) {
  for (const Eltwise& step : next) {
    for (const Eltwise& other : chain) {
      if (other.which == step.which && (other.alpha != step.alpha || other.beta != step.beta)) return false;
    }
    chain.push_back(step);
  }
  return true;
}

}  // namespace

std::vector<FusedOp> FusePostOps(const PrepareContext& ctx, int64_t channel_axis) {
  std::vector<FusedOp> fused;
  std::vector<Eltwise> chain;
  for (const PostOp& op : ctx.post_ops()) {
    // oneDNN allows 32 entries; one of ours may take two.
    if (op.kind == Kind::kPRelu || fused.size() == 15) break;
    FusedOp next{op};
    if ((op.kind == Kind::kAdd || op.kind == Kind::kMul) && !AsLinear(ctx, next.op)) {
      const TensorDesc& operand = ctx.input(op.operand);
      if (operand.dtype != DataType::kFloat) break;
      next.reach = ReachOf(operand.shape, ctx.output(0).shape, channel_axis);
      if (next.reach == Reach::kNone) break;
    } else {
      const std::vector<Eltwise> steps = EltwisesOf(next.op);
      if (steps.empty() || !FitsInChain(chain, steps)) break;
    }
    fused.push_back(std::move(next));
  }
  return fused;
}

dnnl::primitive_attr MakeAttr(const std::vector<FusedOp>& ops, const Md& dst, int64_t channel_axis,
                              std::vector<Primitive::Argument>& operands) {
  dnnl::post_ops post_ops;
  for (const FusedOp& fused : ops) {
    const PostOp& op = fused.op;
    for (const Eltwise& step : EltwisesOf(op)) post_ops.append_eltwise(1.0f, step.which, step.alpha, step.beta);
    if (fused.reach == Reach::kNone) continue;
    Shape shape = dst.dims();
    for (size_t i = 0; i < shape.size(); ++i) {
      if (fused.reach != Reach::kChannel || static_cast<int64_t>(i) != channel_axis) shape[i] = 1;
    }
    const Md desc = fused.reach == Reach::kFull ? dst : PlainDesc(shape);
    post_ops.append_binary(op.kind == Kind::kAdd ? algorithm::binary_add : algorithm::binary_mul, desc);
    operands.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(post_ops.len() - 1) | DNNL_ARG_SRC_1, desc});
  }
  dnnl::primitive_attr attr;
  attr.set_post_ops(post_ops);
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

}  // namespace sluice::onednn
