#include "kernels/ops/any_bits.h"
#include "kernels/ops/move.h"
#include "kernels/ops/params.h"

// Slice (1 with attributes, 10, 11, 13 with inputs; any element type of 8 bits or more), Transpose (1, 13, 21,
// 23, 24, 25; any element type).

namespace sluice {
namespace {

struct SliceParams {
  std::vector<int64_t> starts, ends, axes, steps;
};

// Nothing where a parameter's elements are not known.
template <typename Context>
std::optional<SliceParams> ParamsOf(const Context& ctx, int64_t rank) {
  SliceParams p;
  if (ctx.since_version() < 10) {
    p.starts = ctx.attrs().Ints("starts");
    p.ends = ctx.attrs().Ints("ends");
    p.axes = ctx.attrs().Ints("axes", AllAxes(static_cast<int64_t>(p.starts.size())));
  } else {
    const auto starts = InputInts(ctx, 1), ends = InputInts(ctx, 2), axes = InputInts(ctx, 3),
               steps = InputInts(ctx, 4);
    if (!starts || !ends || (ctx.has_input(3) && !axes) || (ctx.has_input(4) && !steps)) return std::nullopt;
    p.starts = *starts;
    p.ends = *ends;
    p.axes = axes ? *axes : AllAxes(static_cast<int64_t>(p.starts.size()));
    if (steps) p.steps = *steps;
  }
  if (p.steps.empty()) p.steps.assign(p.starts.size(), 1);
  if (p.ends.size() != p.starts.size() || p.axes.size() != p.starts.size() ||
      p.steps.size() != p.starts.size()) {
    ctx.Fail("starts, ends, axes and steps have different lengths");
  }
  p.axes = CheckedAxes(ctx, std::move(p.axes), rank);
  for (int64_t step : p.steps) {
    if (step == 0) ctx.Fail("a step is 0");
  }
  return p;
}

// First index and number of indices of start:end:step in a size, as in Python.
std::pair<int64_t, int64_t> Indices(int64_t start, int64_t end, int64_t step, int64_t size) {
  const auto clamp = [size](int64_t i, int64_t low, int64_t high) {
    return std::clamp(i < 0 ? i + size : i, low, high);
  };
  if (step > 0) {
    start = clamp(start, 0, size);
    end = clamp(end, 0, size);
    return {start, end <= start ? 0 : (end - start - 1) / step + 1};
  }
  if (size == 0) return {0, 0};
  start = clamp(start, 0, size - 1);
  end = clamp(end, -1, size - 1);
  return {start, start <= end ? 0 : -((start - end - 1) / (step == INT64_MIN ? INT64_MIN + 1 : step)) + 1};
}

void InferSlice(InferContext& ctx) {
  const auto params = ParamsOf(ctx, ctx.rank(0));
  SymShape shape = ctx.shape(0);
  if (!params) {
    // Which axes change may still be known.
    const auto axes = ctx.since_version() >= 10 ? InputInts(ctx, 3) : std::nullopt;
    if (axes) {
      for (int64_t axis : *axes) shape[static_cast<size_t>(ctx.Axis(axis, ctx.rank(0)))] = Dim();
    } else {
      shape.assign(shape.size(), Dim());
    }
    return ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
  }
  for (size_t i = 0; i < params->axes.size(); ++i) {
    Dim& dim = shape[static_cast<size_t>(params->axes[i])];
    if (!dim.known()) {
      dim = Dim();
    } else {
      dim = Indices(params->starts[i], params->ends[i], params->steps[i], dim.value()).second;
    }
  }
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

class SliceKernel : public MoveKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    TensorDesc src = ctx.input(0), dst = ctx.output(0);
    const auto params = ParamsOf(ctx, static_cast<int64_t>(src.shape.size()));
    if (!params) ctx.Unsupported("starts, ends, axes and steps are not known");
    // Channels can be cut in blocks only.
    std::vector<int64_t> firsts;
    for (size_t i = 0; i < params->axes.size(); ++i) {
      const int64_t size = src.shape[static_cast<size_t>(params->axes[i])];
      firsts.push_back(Indices(params->starts[i], params->ends[i], params->steps[i], size).first);
      const int64_t block = BlockOf(src.layout);
      if (params->axes[i] == 1 && block > 1 &&
          (params->steps[i] != 1 || firsts[i] % block != 0 || dst.shape[1] % block != 0)) {
        src.layout = Layout::kPlain;
      }
    }
    dst.layout = src.layout;
    ctx.SetInputLayout(0, src.layout);
    ctx.SetOutputLayout(0, src.layout);
    const MemoryOrder from(src), to(dst);
    Shape src_strides = RowMajorStrides(from.sizes);
    int64_t offset = 0;
    for (size_t i = 0; i < params->axes.size(); ++i) {
      const int64_t axis = params->axes[i];
      int64_t& stride = src_strides[static_cast<size_t>(from.position[static_cast<size_t>(axis)])];
      offset += (axis == 1 ? firsts[i] / BlockOf(src.layout) : firsts[i]) * stride;
      // With one index or none the step does not matter, and it might overflow.
      if (dst.shape[static_cast<size_t>(axis)] > 1) stride *= params->steps[i];
    }
    Add(0, 0, StridedCopy(to.sizes, src_strides, RowMajorStrides(to.sizes), offset, 0));
  }
};

template <typename Context>
std::vector<int64_t> Permutation(const Context& ctx, int64_t rank) {
  std::vector<int64_t> reversed = AllAxes(rank);
  std::reverse(reversed.begin(), reversed.end());
  std::vector<int64_t> perm = ctx.attrs().Ints("perm", reversed);
  if (static_cast<int64_t>(perm.size()) != rank) {
    ctx.Fail("perm " + ToString(perm) + " has not one entry for each of " + std::to_string(rank) + " axes");
  }
  return CheckedAxes(ctx, std::move(perm), rank);
}

void InferTranspose(InferContext& ctx) {
  SymShape shape;
  for (int64_t axis : Permutation(ctx, ctx.rank(0))) shape.push_back(ctx.shape(0)[static_cast<size_t>(axis)]);
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

class TransposeKernel : public MoveKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const Shape strides = RowMajorStrides(ctx.shape(0));
    Shape src_strides;
    int64_t last = -1;
    bool moved = false;
    for (int64_t axis : Permutation(ctx, static_cast<int64_t>(strides.size()))) {
      src_strides.push_back(strides[static_cast<size_t>(axis)]);
      if (ctx.shape(0)[static_cast<size_t>(axis)] == 1) continue;
      moved = moved || axis < last;
      last = axis;
    }
    if (!moved) return ctx.ShareOutput(0, 0);
    const Shape& dst = ctx.output(0).shape;
    Add(0, 0, StridedCopy(dst, src_strides, RowMajorStrides(dst)));
  }
};

const Operator kSlice1 = {
    .name = "Slice", .versions = {1}, .infer = InferSlice, .kernels = {&Make<SliceKernel>}, .types = "all"};
const Operator kSlice = {
    .name = "Slice",
    .versions = {10, 11, 13},
    .min_inputs = 3,
    .max_inputs = 5,
    .infer = InferSlice,
    .kernels = {&Make<SliceKernel>},
    .types = "all",
};
const Operator kTranspose = {
    .name = "Transpose",
    .versions = {1, 13, 21, 23, 24, 25},
    .infer = InferTranspose,
    .kernels = {&Make<AnyBits<TransposeKernel>>},
    .types = "any",
};
const RegisterOperator kRegister[] = {RegisterOperator(kSlice1), RegisterOperator(kSlice),
                                      RegisterOperator(kTranspose)};

}  // namespace
}  // namespace sluice
