#include "kernels/ops/move.h"
#include "kernels/ops/params.h"

// Concat (1 with axis 1 by default, 4, 11, 13), Split (1, 2, 11, 13, 18). Any element type of 8 bits or more.

namespace sluice {
namespace {

// The layout in which parts along `axis` are whole pieces of memory: that of the first of the tensors
// that has one, if the channels of all of them but the last fill their blocks.
Layout LayoutOfParts(const std::vector<TensorDesc>& whole, const std::vector<TensorDesc>& parts,
                     int64_t axis) {
  for (const TensorDesc& desc : whole) {
    if (desc.layout == Layout::kPlain) continue;
    const int64_t block = BlockOf(desc.layout);
    const bool fits =
        axis != 1 || std::all_of(parts.begin(), parts.end() - 1,
                                 [block](const TensorDesc& part) { return part.shape[1] % block == 0; });
    if (fits) return desc.layout;
  }
  return Layout::kPlain;
}

// The box of `part` within `whole` along an axis, in memory order.
struct Box {
  Shape sizes, part_strides, whole_strides;
  int64_t offset;  // elements
  bool dense;      // the box is one stretch of the whole

  Box(const TensorDesc& part, const TensorDesc& whole, int64_t axis, int64_t begin) {
    const MemoryOrder inner(part), outer(whole);
    sizes = inner.sizes;
    part_strides = RowMajorStrides(inner.sizes);
    whole_strides = RowMajorStrides(outer.sizes);
    const int64_t block = axis == 1 ? BlockOf(part.layout) : 1;
    const auto position = static_cast<size_t>(inner.position[static_cast<size_t>(axis)]);
    offset = begin / block * whole_strides[position];
    dense = std::all_of(sizes.begin(), sizes.begin() + static_cast<int64_t>(position),
                        [](int64_t n) { return n == 1; });
  }
};

int64_t ConcatAxis(const Attributes& attrs, int version) {
  return version < 4 ? attrs.Int("axis", 1) : attrs.Int("axis");
}

class ConcatKernel : public MoveKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const int64_t axis = CheckedAxis(ctx, ConcatAxis(ctx.attrs(), ctx.since_version()),
                                     static_cast<int64_t>(ctx.shape(0).size()));
    std::vector<TensorDesc> parts;
    for (int i = 0; i < ctx.num_inputs(); ++i) parts.push_back(ctx.input(i));
    const Layout layout = LayoutOfParts(parts, parts, axis);
    TensorDesc whole = ctx.output(0);
    whole.layout = layout;
    ctx.SetOutputLayout(0, layout);
    int64_t begin = 0;
    for (int i = 0; i < ctx.num_inputs(); ++i) {
      TensorDesc& part = parts[static_cast<size_t>(i)];
      part.layout = layout;
      ctx.SetInputLayout(i, layout);
      const Box box(part, whole, axis, begin);
      const int64_t at = box.dense && type_ != DataType::kString ? ByteSize(type_, box.offset) : -1;
      if (at >= 0) ctx.JoinInput(0, i, at);
      Add(i, 0, StridedCopy(box.sizes, box.part_strides, box.whole_strides, 0, box.offset), at);
      begin += part.shape[static_cast<size_t>(axis)];
    }
  }
};

void InferConcat(InferContext& ctx) {
  const int64_t rank = ctx.rank(0);
  if (rank == 0) ctx.Fail("inputs are scalars");
  const auto axis = static_cast<size_t>(ctx.Axis(ConcatAxis(ctx.attrs(), ctx.since_version()), rank));
  SymShape shape = ctx.shape(0);
  for (int i = 1; i < ctx.num_inputs(); ++i) {
    const SymShape& other = ctx.shape(i);
    if (ctx.dtype(i) != ctx.dtype(0))
      ctx.Fail("input " + std::to_string(i) + " has another element type than input 0");
    if (ctx.rank(i) != rank)
      ctx.Fail("input " + std::to_string(i) + " is " + ToString(other) + ", expected rank " +
               std::to_string(rank));
    for (size_t d = 0; d < shape.size(); ++d) {
      if (d == axis) {
        shape[d] = shape[d] + other[d];
      } else if (!shape[d].known()) {
        if (other[d].known() || shape[d].symbol().empty()) shape[d] = other[d];
      } else if (other[d].known() && other[d].value() != shape[d].value()) {
        ctx.Fail("input " + std::to_string(i) + " is " + ToString(other) + ", expected " +
                 ToString(ctx.shape(0)) + " but for axis " + std::to_string(axis));
      }
    }
  }
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

class SplitKernel : public MoveKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const int64_t axis =
        CheckedAxis(ctx, ctx.attrs().Int("axis", 0), static_cast<int64_t>(ctx.shape(0).size()));
    std::vector<TensorDesc> parts;
    for (int i = 0; i < ctx.num_outputs(); ++i) parts.push_back(ctx.output(i));
    TensorDesc whole = ctx.input(0);
    whole.layout = LayoutOfParts({whole}, parts, axis);
    ctx.SetInputLayout(0, whole.layout);
    int64_t begin = 0;
    for (int i = 0; i < ctx.num_outputs(); ++i) {
      TensorDesc& part = parts[static_cast<size_t>(i)];
      part.layout = whole.layout;
      ctx.SetOutputLayout(i, whole.layout);
      const Box box(part, whole, axis, begin);
      if (box.dense && type_ != DataType::kString) {
        ctx.ShareOutput(i, 0, ByteSize(type_, box.offset));
      } else {
        Add(0, i, StridedCopy(box.sizes, box.whole_strides, box.part_strides, box.offset, 0));
      }
      begin += part.shape[static_cast<size_t>(axis)];
    }
  }
};

void InferSplit(InferContext& ctx) {
  const auto axis = static_cast<size_t>(ctx.Axis(ctx.attrs().Int("axis", 0), ctx.rank(0)));
  const SymShape& src = ctx.shape(0);
  const int outputs = ctx.num_outputs();
  const bool as_input = ctx.since_version() == 1 || ctx.since_version() >= 13;
  std::vector<Dim> sizes;
  if (ctx.attrs().Has("split") || (as_input && ctx.has_input(1))) {
    std::optional<std::vector<int64_t>> split;
    if (as_input && ctx.has_input(1))
      split = InputInts(ctx, 1);
    else
      split = ctx.attrs().Ints("split");
    if (!split) {
      for (int i = 0; i < outputs; ++i) ctx.SetUnknownShape(i, ctx.dtype(0));
      return;
    }
    Dim sum = 0;
    for (int64_t size : *split) {
      if (size < 0) ctx.Fail("split has the size " + std::to_string(size));
      sizes.emplace_back(size);
      sum = sum + size;
    }
    if (static_cast<int>(sizes.size()) != outputs || (src[axis].known() && !src[axis].is(sum.value()))) {
      ctx.Fail("split " + ToString(*split) + " does not cut size " + ToString(SymShape{src[axis]}) +
               " into " + std::to_string(outputs) + " outputs");
    }
  } else {
    const int64_t count = ctx.attrs().Int("num_outputs", outputs);
    if (count != outputs)
      ctx.Fail("num_outputs is " + std::to_string(count) + ", the node has " + std::to_string(outputs));
    sizes.resize(static_cast<size_t>(outputs));
    if (src[axis].known()) {
      const int64_t total = src[axis].value(), part = (total + count - 1) / count;
      if (ctx.since_version() < 18 && total % count != 0) {
        ctx.Fail("size " + std::to_string(total) + " is no multiple of " + std::to_string(count));
      }
      for (int64_t i = 0; i < count; ++i) {
        sizes[static_cast<size_t>(i)] = std::clamp<int64_t>(total - i * part, 0, part);
      }
    }
  }
  for (int i = 0; i < outputs; ++i) {
    SymShape shape = src;
    shape[axis] = sizes[static_cast<size_t>(i)];
    ctx.SetOutput(i, ctx.dtype(0), std::move(shape));
  }
}

const Operator kConcat = {
    .name = "Concat",
    .versions = {1, 4, 11, 13},
    .max_inputs = Operator::kMany,
    .infer = InferConcat,
    .kernels = {&Make<ConcatKernel>},
    .types = "all",
};
const Operator kSplit = {
    .name = "Split",
    .versions = {1, 2, 11, 13, 18},
    .max_inputs = 2,
    .max_outputs = Operator::kMany,
    .infer = InferSplit,
    .kernels = {&Make<SplitKernel>},
    .types = "all",
};
const RegisterOperator kRegister[] = {RegisterOperator(kConcat), RegisterOperator(kSplit)};

}  // namespace
}  // namespace sluice
