#include <cmath>

#include "kernels/ops/axis_lines.h"
#include "kernels/ops/typed_kernel.h"

// LpNormalization (1, 22): x divided by the 1- or 2-norm of its line along an axis. A line of zeros stays.

namespace sluice {
namespace {

template <typename T>
class LpNormalizationOf : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    p_ = ctx.attrs().Int("p", 2);
    if (p_ != 1 && p_ != 2) ctx.Fail("p is " + std::to_string(p_) + ", expected 1 or 2");
    lines_ = AxisLines(SplitAt(ctx, ctx.shape(0), false, ctx.attrs().Int("axis", -1)));
    ctx.AllowInPlace(0, 0);
  }
  int64_t tiles() const override { return lines_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    lines_.ForEachUnit(tile, [&](int64_t at, const FoldBox& box) {
      const T* src = ctx.in<T>(0) + at;
      double factor[AxisLines::kMaxLines] = {}, zero[AxisLines::kMaxLines] = {};
      if (p_ == 1)
        FoldBoxInto<Fold::kSumAbs>(src, box, nullptr, factor);
      else
        FoldBoxInto<Fold::kSumSquare>(src, box, nullptr, factor);
      for (int64_t j = 0; j < box.count; ++j) {
        if (p_ == 2) factor[j] = std::sqrt(factor[j]);
        factor[j] = factor[j] == 0 ? 1 : 1 / factor[j];
      }
      ScaleBox(src, box, zero, factor, ctx.out<T>(0) + at);
    });
  }

 private:
  int64_t p_ = 2;
  AxisLines lines_;
};

void InferLpNormalization(InferContext& ctx) {
  ctx.Axis(ctx.attrs().Int("axis", -1), ctx.rank(0));
  InferSameAsFirst(ctx);
}

const Operator kLpNormalization = {.name = "LpNormalization",
                                   .versions = {1, 22},
                                   .infer = InferLpNormalization,
                                   .kernels = {&Make<TypedKernel<LpNormalizationOf>>},
                                   .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kLpNormalization);

}  // namespace
}  // namespace sluice
