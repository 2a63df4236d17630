#include <algorithm>

#include "kernels/ops/params.h"

// Shape (1, 13, 15 with start and end, 19, 21, 23, 24, 25) and Size (1, 13, 19, 21, 23, 24, 25).

namespace sluice {
namespace {

// The part of the shape between the attributes start and end, clamped to the rank.
template <typename Context>
std::pair<int64_t, int64_t> Part(const Context& ctx, int64_t rank) {
  const auto clamp = [rank](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const int64_t begin = clamp(ctx.attrs().Int("start", 0));
  return {begin, std::max(begin, clamp(ctx.attrs().Int("end", rank)))};
}

class ShapeKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const auto [begin, end] = Part(ctx, static_cast<int64_t>(ctx.shape(0).size()));
    sizes_.assign(ctx.shape(0).begin() + begin, ctx.shape(0).begin() + end);
  }
  void Run(const RunContext& ctx, int64_t) const override {
    std::copy(sizes_.begin(), sizes_.end(), ctx.out<int64_t>(0));
  }

 private:
  Shape sizes_;
};

class SizeKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override { count_ = NumElements(ctx.shape(0)); }
  void Run(const RunContext& ctx, int64_t) const override { *ctx.out<int64_t>(0) = count_; }

 private:
  int64_t count_ = 0;
};

void InferShape(InferContext& ctx) {
  const auto [begin, end] = Part(ctx, ctx.rank(0));
  ctx.SetOutput(0, DataType::kInt64, {Dim(end - begin)});
}

const Operator kShape = {
    .name = "Shape",
    .versions = {1, 13, 15, 19, 21, 23, 24, 25},
    .infer = InferShape,
    .kernels = {&Make<ShapeKernel>},
    .shape_only = true,
    .types = "any",
};
const Operator kSize = {
    .name = "Size",
    .versions = {1, 13, 19, 21, 23, 24, 25},
    .infer = [](InferContext& ctx) { ctx.SetOutput(0, DataType::kInt64, {}); },
    .kernels = {&Make<SizeKernel>},
    .shape_only = true,
    .types = "any",
};
const RegisterOperator kRegister[] = {RegisterOperator(kShape), RegisterOperator(kSize)};

}  // namespace
}  // namespace sluice
