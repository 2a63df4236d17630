#include "kernels/vector_post_ops.h"

#include <algorithm>

#include "kernels/layout.h"

namespace sluice {
namespace {

// The values of a constant that has one for each channel of [n, c, ...], or a single one.
std::vector<float> ChannelsOf(const Tensor* constant, const Shape& output, int64_t slack) {
  if (constant == nullptr || constant->dtype() != DataType::kFloat || output.size() < 2) return {};
  const Shape& shape = constant->shape();
  if (shape.size() > output.size()) return {};
  const size_t lead = output.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1 && (lead + i != 1 || shape[i] != output[1])) return {};
  }
  std::vector<float> values(static_cast<size_t>(output[1] + slack), 0.0f);
  const auto* from = static_cast<const float*>(constant->data());
  if (constant->num_elements() == 1) {
    std::fill_n(values.begin(), output[1], from[0]);
  } else {
    std::copy_n(from, output[1], values.begin());
  }
  return values;
}

}  // namespace

VectorPostOps::VectorPostOps(PrepareContext& ctx, Layout layout, int64_t slack) {
  slack = std::max(slack, BlockOf(layout));
  for (const PostOp& post_op : ctx.post_ops()) {
    if (ops_.size() == kMaxOps) return;
    Op own{{post_op.kind, post_op.alpha, post_op.beta}, -1, {}};
    if (post_op.operand >= 0) {
      const TensorDesc& operand = ctx.input(post_op.operand);
      own.channels = ChannelsOf(ctx.constant(post_op.operand), ctx.output(0).shape, slack);
      own.op.by_channel = !own.channels.empty();
      if (!own.op.by_channel) {
        if (operand.dtype != DataType::kFloat || operand.shape != ctx.output(0).shape) return;
        own.input = post_op.operand;
        ctx.SetInputLayout(own.input, layout);
      }
    }
    ops_.push_back(std::move(own));
  }
}

std::array<VectorOp, VectorPostOps::kMaxOps> VectorPostOps::For(const RunContext& ctx) const {
  std::array<VectorOp, kMaxOps> ops;
  for (size_t i = 0; i < ops_.size(); ++i) {
    ops[i] = ops_[i].op;
    if (ops_[i].input >= 0) ops[i].operand = ctx.in<float>(ops_[i].input);
    if (ops[i].by_channel) ops[i].operand = ops_[i].channels.data();
  }
  return ops;
}

}  // namespace sluice
