#include "kernels/blocked_post_ops.h"

#include <algorithm>
#include <array>

#include "kernels/simd/post_ops.h"

namespace sluice {

BlockedPostOps::BlockedPostOps(PrepareContext& ctx, size_t first, Layout layout)
    : channels_(ctx.output(0).shape[1]), block_(BlockOf(layout)) {
  const Shape& output = ctx.output(0).shape;
  const std::vector<PostOp>& ops = ctx.post_ops();
  for (size_t i = first; i < ops.size(); ++i) {
    Step step{ops[i], Reach::kNone};
    if (step.op.operand >= 0) {
      const TensorDesc& operand = ctx.input(step.op.operand);
      Shape shape = operand.shape;
      if (operand.dtype != DataType::kFloat || shape.size() > output.size()) {
        ctx.Decline("post-op " + ToString(step.op) + " of another type or rank");
      }
      shape.insert(shape.begin(), output.size() - shape.size(), 1);
      Shape channel(output.size(), 1);
      channel[1] = channels_;
      if (NumElements(shape) == 1)
        step.reach = Reach::kScalar;
      else if (shape == channel)
        step.reach = Reach::kChannel;
      else if (operand.shape == output)
        step.reach = Reach::kFull;
      else
        ctx.Decline("post-op " + ToString(step.op) + " with an operand of shape " + ToString(operand.shape));
      if (step.reach == Reach::kFull) ctx.SetInputLayout(step.op.operand, layout);
    }
    steps_.push_back(step);
  }
}

void BlockedPostOps::Apply(const RunContext& ctx, float* values, int64_t offset, int64_t c,
                           int64_t pixels) const {
  const int64_t count = pixels * block_, channels = std::min(block_, channels_ - c);
  for (const Step& step : steps_) {
    const float* operand = step.reach == Reach::kNone ? nullptr : ctx.in<float>(step.op.operand);
    switch (step.reach) {
      case Reach::kNone:
        MapFloats(step.op, values, count, values);
        break;
      case Reach::kFull:
        CombineFloats(step.op.kind, values, operand + offset, count, count);
        break;
      case Reach::kScalar:
        CombineFloats(step.op.kind, values, operand, 1, count);
        break;
      case Reach::kChannel: {
        std::array<float, 16> padded{};
        std::copy_n(operand + c, channels, padded.begin());
        CombineFloats(step.op.kind, values, padded.data(), block_, count);
        break;
      }
    }
  }
  if (channels == block_ || steps_.empty()) return;
  for (int64_t i = 0; i < pixels; ++i)
    std::fill(values + i * block_ + channels, values + (i + 1) * block_, 0.0f);
}

}  // namespace sluice
