#include "kernels/mapped_copy.h"
#include "kernels/ops/move.h"
#include "kernels/ops/params.h"
#include "kernels/saturate.h"

// Expand (8, 13), Tile (1 along one axis, 6, 13), DepthToSpace (1, 11, 13, 28), SpaceToDepth (1, 13, 28). Any
// element type of 8 bits or more.

namespace sluice {
namespace {

// Repeats the source along every axis in which the output is larger: dst[i] = src[i mod size].
class RepeatKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const Shape& dst = ctx.output(0).shape;
    Shape src = ctx.shape(0);
    src.insert(src.begin(), dst.size() - src.size(), 1);
    if (src == dst) return ctx.ShareOutput(0, 0);
    if (NumElements(dst) == 0) return;
    std::vector<std::vector<int64_t>> maps;
    for (size_t i = 0; i < dst.size(); ++i) {
      maps.push_back(IdentityMap(dst[i]));
      for (int64_t& at : maps.back()) at %= src[i];
    }
    copy_ = MappedCopy(src, std::move(maps));
  }
  int64_t tiles() const override { return copy_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    copy_.Run(type_, ctx.in<void>(0), ctx.out<void>(0), nullptr, tile);
  }

 private:
  DataType type_ = DataType::kUndefined;
  MappedCopy copy_;
};

void SetChecked(InferContext& ctx, SymShape shape) {
  if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(ctx.dtype(0), NumElements(*concrete)));
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

void InferExpand(InferContext& ctx) {
  const auto target = InputInts(ctx, 1);
  if (!target) return ctx.SetUnknownShape(0, ctx.dtype(0));
  for (int64_t size : *target) {
    if (size < 0) ctx.Fail("shape " + ToString(*target) + " has a negative size");
  }
  SetChecked(ctx, ctx.Broadcast(ctx.shape(0), ToSymShape(*target)));
}

void InferTile(InferContext& ctx) {
  SymShape shape = ctx.shape(0);
  const auto repeats = InputInts(ctx, 1);
  if (!repeats) return ctx.SetOutput(0, ctx.dtype(0), SymShape(shape.size()));
  if (repeats->size() != shape.size())
    ctx.Fail("repeats has " + std::to_string(repeats->size()) + " entries, expected " +
             std::to_string(shape.size()));
  for (size_t i = 0; i < shape.size(); ++i) {
    if ((*repeats)[i] < 0) ctx.Fail("repeats " + ToString(*repeats) + " has a negative entry");
    if ((*repeats)[i] != 1) shape[i] = shape[i] * Dim((*repeats)[i]);
  }
  SetChecked(ctx, std::move(shape));
}

void InferTile1(InferContext& ctx) {
  // The number of tiles and the axis may be of the data's type.
  const auto scalar = [&](int i) -> std::optional<int64_t> {
    const Tensor* tensor = ctx.constant(i);
    if (tensor == nullptr || tensor->num_elements() != 1) return std::nullopt;
    if (tensor->dtype() == DataType::kFloat) return Saturated<int64_t>(tensor->values<float>()[0]);
    return (*InputInts(ctx, i))[0];
  };
  SymShape shape = ctx.shape(0);
  const auto count = scalar(1), axis = scalar(2);
  if (!count || !axis) return ctx.SetOutput(0, ctx.dtype(0), SymShape(shape.size()));
  if (*count < 0) ctx.Fail("tiles is " + std::to_string(*count));
  Dim& dim = shape[static_cast<size_t>(ctx.Axis(*axis, ctx.rank(0)))];
  dim = dim * Dim(*count);
  SetChecked(ctx, std::move(shape));
}

int64_t BlockSize(const InferContext& ctx) {
  const int64_t block = ctx.attrs().Int("blocksize");
  if (block < 1 || block > (1 << 20)) ctx.Fail("blocksize is " + std::to_string(block));
  if (ctx.rank(0) != 4) ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected rank 4");
  return block;
}

Dim Divided(const InferContext& ctx, const Dim& dim, int64_t by) {
  if (!dim.known()) return {};
  if (dim.value() % by != 0)
    ctx.Fail("size " + std::to_string(dim.value()) + " is no multiple of " + std::to_string(by));
  return dim.value() / by;
}

void InferDepthToSpace(InferContext& ctx) {
  const int64_t block = BlockSize(ctx);
  const SymShape& src = ctx.shape(0);
  ctx.SetOutput(0, ctx.dtype(0),
                {src[0], Divided(ctx, src[1], block * block), src[2] * Dim(block), src[3] * Dim(block)});
}

void InferSpaceToDepth(InferContext& ctx) {
  const int64_t block = BlockSize(ctx);
  const SymShape& src = ctx.shape(0);
  ctx.SetOutput(
      0, ctx.dtype(0),
      {src[0], src[1] * Dim(block * block), Divided(ctx, src[2], block), Divided(ctx, src[3], block)});
}

// A transposition of six axes: of dst [n, c, h, bh, w, bw] for DepthToSpace, [n, bh, bw, c, h, w] for
// SpaceToDepth.
class BlockMoveKernel : public MoveKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const int64_t b = ctx.attrs().Int("blocksize");
    const bool to_space = ctx.node().op_type == "DepthToSpace";
    const Shape& deep = to_space ? ctx.shape(0) : ctx.output(0).shape;
    const int64_t n = deep[0], c = deep[1] / (b * b), h = deep[2], w = deep[3], plane = h * w;
    const std::string mode = ctx.attrs().String("mode", "DCR");
    if (mode != "DCR" && mode != "CRD") ctx.Fail("unknown mode '" + mode + "'");
    const bool channels_first = mode == "CRD";
    const Shape sizes = to_space ? Shape{n, c, h, b, w, b} : Shape{n, b, b, c, h, w};
    // Strides in the deep tensor, and in the wide one.
    const int64_t dc = channels_first ? b * b * plane : plane, db = channels_first ? plane : c * plane;
    const Shape in_deep = {c * b * b * plane, dc, w, b * db, 1, db};
    const Shape in_wide = {c * plane * b * b, plane * b * b, w * b * b, w * b, b, 1};  // n c h bh w bw
    if (to_space) {
      Add(0, 0, StridedCopy(sizes, in_deep, in_wide));
    } else {
      const auto reorder = [](const Shape& s) { return Shape{s[0], s[3], s[5], s[1], s[2], s[4]}; };
      Add(0, 0, StridedCopy(sizes, reorder(in_wide), reorder(in_deep)));
    }
  }
};

const Operator kExpand = {.name = "Expand",
                          .versions = {8, 13},
                          .min_inputs = 2,
                          .max_inputs = 2,
                          .infer = InferExpand,
                          .kernels = {&Make<RepeatKernel>},
                          .types = "all"};
const Operator kTile1 = {.name = "Tile",
                         .versions = {1},
                         .min_inputs = 3,
                         .max_inputs = 3,
                         .infer = InferTile1,
                         .kernels = {&Make<RepeatKernel>},
                         .types = "all"};
const Operator kTile = {.name = "Tile",
                        .versions = {6, 13},
                        .min_inputs = 2,
                        .max_inputs = 2,
                        .infer = InferTile,
                        .kernels = {&Make<RepeatKernel>},
                        .types = "all"};
const Operator kDepthToSpace = {.name = "DepthToSpace",
                                .versions = {1, 11, 13, 28},
                                .infer = InferDepthToSpace,
                                .kernels = {&Make<BlockMoveKernel>},
                                .types = "all"};
const Operator kSpaceToDepth = {.name = "SpaceToDepth",
                                .versions = {1, 13, 28},
                                .infer = InferSpaceToDepth,
                                .kernels = {&Make<BlockMoveKernel>},
                                .types = "all"};
const RegisterOperator kRegister[] = {RegisterOperator(kExpand), RegisterOperator(kTile1),
                                      RegisterOperator(kTile), RegisterOperator(kDepthToSpace),
                                      RegisterOperator(kSpaceToDepth)};

}  // namespace
}  // namespace sluice
