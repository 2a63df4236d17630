#include "kernels/ops/params.h"

// Operators whose result is the input's bytes under another shape or type:
// Reshape (1, 5, 13, 14, 19, 21, 23, 24, 25), Flatten (1, 9, 11, 13, 21, 23, 24, 25),
// Squeeze and Unsqueeze (1, 11, 13, 21, 23, 24, 25), BitCast (26). Any element type; BitCast takes no
// strings.

namespace sluice {
namespace {

class ViewKernel : public Kernel {
 public:
  std::string name() const override { return "view"; }
  void Prepare(PrepareContext& ctx) override { ctx.ShareOutput(0, 0); }
  void Run(const RunContext&, int64_t) const override {}
};

// The size that makes `shape` hold as many elements as `src`. Sizes that are not known must be those
// that `copied` says both have.
Dim Remaining(const InferContext& ctx, const SymShape& src, const SymShape& shape, size_t open,
              const std::vector<bool>& copied) {
  Dim have = 1, want = 1;
  for (size_t i = 0; i < src.size(); ++i) {
    if (!(i < copied.size() && copied[i])) have = have * src[i];
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != open && !copied[i]) want = want * shape[i];
  }
  if (!have.known() || !want.known()) return {};
  // Nothing determines the size where both are empty: 0 fits.
  if (want.value() == 0 && have.is(0)) return 0;
  if (want.value() == 0 || have.value() % want.value() != 0) {
    ctx.Fail("cannot reshape " + ToString(src) + " into " + ToString(shape));
  }
  return have.value() / want.value();
}

void InferReshape(InferContext& ctx) {
  std::vector<int64_t> target;
  if (ctx.since_version() < 5) {
    target = ctx.attrs().Ints("shape");
  } else if (const auto ints = InputInts(ctx, 1)) {
    target = *ints;
  } else {
    ctx.input(1);
    return ctx.SetUnknownShape(0, ctx.dtype(0));
  }
  const bool allow_zero = ctx.attrs().Int("allowzero", 0) != 0;
  const SymShape& src = ctx.shape(0);
  SymShape shape;
  std::vector<bool> copied;
  std::optional<size_t> open;
  for (size_t i = 0; i < target.size(); ++i) {
    copied.push_back(false);
    if (target[i] == -1) {
      if (open) ctx.Fail("shape " + ToString(target) + " has more than one -1");
      open = i;
      shape.emplace_back();
    } else if (target[i] == 0 && !allow_zero) {
      if (i >= src.size())
        ctx.Fail("shape " + ToString(target) + " copies size " + std::to_string(i) + " of " + ToString(src));
      shape.push_back(src[i]);
      copied.back() = true;
    } else if (target[i] < 0) {
      ctx.Fail("shape " + ToString(target) + " has a negative size");
    } else {
      shape.emplace_back(target[i]);
    }
  }
  if (open) shape[*open] = Remaining(ctx, src, shape, *open, copied);
  const auto from = ToShape(src), to = ToShape(shape);
  if (from && to && NumElements(*from) != NumElements(*to)) {
    ctx.Fail("cannot reshape " + ToString(src) + " into " + ToString(target));
  }
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

void InferFlatten(InferContext& ctx) {
  int64_t axis = ctx.attrs().Int("axis", 1);
  const int64_t rank = ctx.rank(0);
  if (axis < -rank || axis > rank)
    ctx.Fail("axis " + std::to_string(axis) + " is outside [-" + std::to_string(rank) + ", " +
             std::to_string(rank) + "]");
  if (axis < 0) axis += rank;
  Dim rows = 1, columns = 1;
  for (int64_t i = 0; i < rank; ++i) {
    Dim& part = i < axis ? rows : columns;
    part = part * ctx.shape(0)[static_cast<size_t>(i)];
  }
  ctx.SetOutput(0, ctx.dtype(0), {rows, columns});
}

// Attribute before 13, input since; nothing if it is an input whose elements are not known.
std::optional<std::vector<int64_t>> Axes(const InferContext& ctx) {
  if (ctx.since_version() < 13) return ctx.attrs().Ints("axes", {});
  return InputInts(ctx, 1);
}

void InferSqueeze(InferContext& ctx) {
  const SymShape& src = ctx.shape(0);
  const bool given = ctx.since_version() < 13 ? ctx.attrs().Has("axes") : ctx.has_input(1);
  std::vector<bool> drop(src.size(), false);
  if (given) {
    const auto axes = Axes(ctx);
    if (!axes) return ctx.SetUnknownShape(0, ctx.dtype(0));
    for (int64_t axis : *axes) {
      const auto i = static_cast<size_t>(ctx.Axis(axis, ctx.rank(0)));
      if (src[i].known() && !src[i].is(1)) {
        ctx.Fail("axis " + std::to_string(axis) + " of " + ToString(src) + " is not 1");
      }
      drop[i] = true;
    }
  } else {
    for (size_t i = 0; i < src.size(); ++i) {
      if (!src[i].known()) return ctx.SetUnknownShape(0, ctx.dtype(0));
      drop[i] = src[i].is(1);
    }
  }
  SymShape shape;
  for (size_t i = 0; i < src.size(); ++i) {
    if (!drop[i]) shape.push_back(src[i]);
  }
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

void InferUnsqueeze(InferContext& ctx) {
  const auto axes = Axes(ctx);
  if (!axes) {
    ctx.input(1);
    return ctx.SetUnknownShape(0, ctx.dtype(0));
  }
  const int64_t rank = ctx.rank(0) + static_cast<int64_t>(axes->size());
  std::vector<bool> added(static_cast<size_t>(rank), false);
  for (int64_t axis : CheckedAxes(ctx, *axes, rank)) added[static_cast<size_t>(axis)] = true;
  SymShape shape;
  size_t next = 0;
  for (size_t i = 0; i < added.size(); ++i) shape.push_back(added[i] ? Dim(1) : ctx.shape(0)[next++]);
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

void InferBitCast(InferContext& ctx) {
  const int64_t to = ctx.attrs().Int("to");
  const auto type = static_cast<DataType>(to);
  const bool known = to > 0 && to <= static_cast<int64_t>(DataType::kInt2);
  if (!known || type == DataType::kString || ctx.dtype(0) == DataType::kString ||
      DataTypeBits(type) != DataTypeBits(ctx.dtype(0)))
    ctx.Fail("to is " + (known ? std::string(DataTypeName(type)) : std::to_string(to)) +
             ", expected a type of as many bits as " + std::string(DataTypeName(ctx.dtype(0))) +
             ", and no string");
  ctx.SetOutput(0, type, ctx.shape(0));
}

const Operator kReshape1 = {.name = "Reshape",
                            .versions = {1},
                            .infer = InferReshape,
                            .kernels = {&Make<ViewKernel>},
                            .types = "any"};
const Operator kReshape = {
    .name = "Reshape",
    .versions = {5, 13, 14, 19, 21, 23, 24, 25},
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = InferReshape,
    .kernels = {&Make<ViewKernel>},
    .types = "any",
};
const Operator kFlatten = {
    .name = "Flatten",
    .versions = {1, 9, 11, 13, 21, 23, 24, 25},
    .infer = InferFlatten,
    .kernels = {&Make<ViewKernel>},
    .types = "any",
};
const Operator kSqueeze = {
    .name = "Squeeze",
    .versions = {1, 11, 13, 21, 23, 24, 25},
    .max_inputs = 2,
    .infer = InferSqueeze,
    .kernels = {&Make<ViewKernel>},
    .types = "any",
};
const Operator kUnsqueeze = {
    .name = "Unsqueeze",
    .versions = {1, 11, 13, 21, 23, 24, 25},
    .max_inputs = 2,
    .infer = InferUnsqueeze,
    .kernels = {&Make<ViewKernel>},
    .types = "any",
};
const Operator kBitCast = {
    .name = "BitCast",
    .versions = {26},
    .infer = InferBitCast,
    .kernels = {&Make<ViewKernel>},
    .types = "T, bool, complex64, complex128, float8, float4, int4, uint4, int2, uint2",
};
const RegisterOperator kRegister[] = {RegisterOperator(kReshape1),  RegisterOperator(kReshape),
                                      RegisterOperator(kFlatten),   RegisterOperator(kSqueeze),
                                      RegisterOperator(kUnsqueeze), RegisterOperator(kBitCast)};

}  // namespace
}  // namespace sluice
