#include <algorithm>

#include "kernels/fold.h"
#include "kernels/ops/axis_split.h"
#include "kernels/parallel.h"

// CumSum (11, 14) and CumProd (26) of numeric tensors. Floats are accumulated in double; integers wrap
// around.

namespace sluice {
namespace {

class CumulativeKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const auto axis = InputInts(ctx, 1);
    if (axis->size() != 1) ctx.Fail("axis has " + std::to_string(axis->size()) + " elements, expected 1");
    split_ = SplitAt(ctx, ctx.shape(0), false, axis->front());
    exclusive_ = ctx.attrs().Int("exclusive", 0) != 0;
    reverse_ = ctx.attrs().Int("reverse", 0) != 0;
    chunks_ = (split_.inner + kChunk - 1) / kChunk;
    const bool sum = ctx.node().op_type == "CumSum";
    const bool found = Dispatch(NumericTypes(), ctx.dtype(0), [&](auto tag) {
      using T = typename decltype(tag)::type;
      run_ = sum ? &CumulativeKernel::RunAs<Fold::kSum, T> : &CumulativeKernel::RunAs<Fold::kProduct, T>;
    });
    if (!found) ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
    ctx.AllowInPlace(0, 0);
  }
  int64_t tiles() const override {
    return PiecesOf(split_.outer * chunks_,
                    32 * 1024 / (split_.size * std::min(split_.inner, kChunk) + 1) + 1);
  }
  void Run(const RunContext& ctx, int64_t tile) const override { (this->*run_)(ctx, tile); }

 private:
  // Neighbours along the inner axis that are accumulated together.
  static constexpr int64_t kChunk = 256;

  template <Fold kFold, typename T>
  void RunAs(const RunContext& ctx, int64_t tile) const {
    using Acc = FoldType<kFold, T>;
    const Range range = PieceOf(split_.outer * chunks_, tiles(), tile);
    for (int64_t unit = range.begin; unit < range.end; ++unit) {
      const int64_t first = unit % chunks_ * kChunk, count = std::min(kChunk, split_.inner - first);
      const int64_t begin = unit / chunks_ * split_.size * split_.inner + first;
      Acc acc[kChunk];
      std::fill_n(acc, count, FoldStart<kFold, T>());
      for (int64_t i = 0; i < split_.size; ++i) {
        const int64_t at = begin + (reverse_ ? split_.size - 1 - i : i) * split_.inner;
        const T* src = ctx.in<T>(0) + at;
        T* dst = ctx.out<T>(0) + at;
        for (int64_t j = 0; j < count; ++j) {
          const Acc before = acc[j];
          acc[j] = FoldIn<kFold>(before, static_cast<Acc>(src[j]), Acc{0});
          dst[j] = Narrow<T>(exclusive_ ? before : acc[j]);
        }
      }
    }
  }

  AxisSplit split_;
  bool exclusive_ = false, reverse_ = false;
  int64_t chunks_ = 1;
  void (CumulativeKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

Operator Define(std::string_view name, std::vector<int> versions) {
  return {.name = name,
          .versions = std::move(versions),
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = InferSameAsFirst,
          .kernels = {&Make<CumulativeKernel>},
          .types = "T"};
}
const Operator kCumSum = Define("CumSum", {11, 14}), kCumProd = Define("CumProd", {26});
const RegisterOperator kRegister[] = {RegisterOperator(kCumSum), RegisterOperator(kCumProd)};

}  // namespace
}  // namespace sluice
