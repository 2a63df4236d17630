#include "kernels/broadcast.h"

#include <algorithm>

#include "kernels/strided_copy.h"

namespace sluice {
namespace {

// Small enough for a core's caches, large enough that starting a tile does not show.
constexpr int64_t kTileElems = 32 * 1024;

// The operand's strides along the output's axes, 0 where it repeats.
Shape StridesAlong(const Shape& shape, const Shape& out) {
  Shape strides(out.size(), 0);
  const Shape own = RowMajorStrides(shape);
  const size_t lead = out.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i) strides[lead + i] = shape[i] == 1 ? 0 : own[i];
  return strides;
}

// The order of axes in memory of a layout: for a row-major [n, c, spatial] tensor the axes of the loop nest,
// as {axis of the tensor, size, factor on its stride}.
struct Loop {
  size_t axis;
  int64_t size;
  int64_t factor;
};

std::vector<Loop> LoopsOf(const Shape& shape, Layout layout) {
  std::vector<Loop> loops;
  const int64_t block = BlockOf(layout);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (layout != Layout::kPlain && i == 1) {
      if (block > 1) loops.push_back({1, shape[1] / block, block});
      continue;
    }
    loops.push_back({i, shape[i], 1});
  }
  if (block > 1) loops.push_back({1, block, 1});
  if (layout == Layout::kChannelsLast) loops.push_back({1, shape[1], 1});
  return loops;
}

// The first layout in which an input of the output's shape arrives and that has no padding.
Layout ChooseLayout(const PrepareContext& ctx, const Shape& out) {
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const TensorDesc& input = ctx.input(i);
    if (input.layout != Layout::kPlain && input.shape == out && out[1] % BlockOf(input.layout) == 0)
      return input.layout;
  }
  return Layout::kPlain;
}

}  // namespace

std::vector<Broadcast::Operand> Broadcast::Inputs(const PrepareContext& ctx, int count) {
  std::vector<Operand> operands;
  for (int i = 0; i < count; ++i) operands.push_back({i, ctx.shape(i)});
  return operands;
}

Broadcast::Broadcast(PrepareContext& ctx, const std::vector<Operand>& operands) : operands_(operands.size()) {
  const Shape& out = ctx.output(0).shape;
  total_ = NumElements(out);
  // Only floats are blocked.
  const Layout layout = ctx.output(0).dtype == DataType::kFloat ? ChooseLayout(ctx, out) : Layout::kPlain;
  ctx.SetOutputLayout(0, layout);
  const std::vector<Loop> loops = LoopsOf(out, layout);
  std::vector<Axis> axes;
  for (const Loop& loop : loops) axes.push_back({loop.size, {}});
  for (size_t i = 0; i < operands.size(); ++i) {
    const Operand& operand = operands[i];
    const bool same = ctx.shape(operand.input) == out;
    const bool moved = same && ctx.dtype(operand.input) == DataType::kFloat;
    if (moved) ctx.SetInputLayout(operand.input, layout);
    const Shape plain = StridesAlong(operand.shape, out);
    int64_t dense = 1;
    for (size_t j = loops.size(); j-- > 0;) {
      axes[j].strides[i] = moved ? dense : plain[loops[j].axis] * loops[j].factor;
      dense *= loops[j].size;
    }
    if (same && ctx.dtype(operand.input) == ctx.output(0).dtype && ctx.request().in_place[0] < 0 &&
        operand.input == 0) {
      ctx.AllowInPlace(0, operand.input);
    }
  }
  Merge(axes);
  if (outer_.size() > kMaxAxes)
    ctx.Unsupported("broadcasting over " + std::to_string(outer_.size()) + " axes");
  tiles_ = total_ == 0 ? 0 : PiecesOf(total_, kTileElems);
}

void Broadcast::Merge(const std::vector<Axis>& axes) {
  std::vector<Axis> merged;  // innermost first
  for (size_t i = axes.size(); i-- > 0;) {
    if (axes[i].size == 1) continue;
    if (!merged.empty()) {
      Axis& last = merged.back();
      bool follows = true;
      for (size_t j = 0; j < operands_; ++j) follows &= axes[i].strides[j] == last.strides[j] * last.size;
      if (follows) {
        last.size *= axes[i].size;
        continue;
      }
    }
    merged.push_back(axes[i]);
  }
  if (merged.empty()) return;
  inner_ = merged[0].size;
  inner_step_ = merged[0].strides;
  outer_.assign(merged.rbegin(), merged.rend() - 1);
}

}  // namespace sluice
