#include <algorithm>
#include <limits>

#include "kernels/dispatch.h"
#include "kernels/ops/axis_split.h"
#include "kernels/parallel.h"
#include "kernels/simd/fold.h"

// ArgMax and ArgMin (1, 11, 12, 13) of numeric tensors. NaN counts as the largest and as the smallest
// element.

namespace sluice {
namespace {

template <bool kMax, typename T>
bool IsBetter(T x, T best) {
  if constexpr (std::is_floating_point_v<T>) {
    return (best == best) & !(kMax ? x <= best : x >= best);
  } else {
    return kMax ? x > best : x < best;
  }
}

class ArgReduceKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    max_ = ctx.node().op_type == "ArgMax";
    last_ = ctx.attrs().Int("select_last_index", 0) != 0;
    split_ = SplitAt(ctx, ctx.shape(0), false, ctx.attrs().Int("axis", 0));
    if (split_.size == 0 && split_.outer * split_.inner > 0) ctx.Fail("the axis has size 0");
    if (split_.size > int64_t{std::numeric_limits<Index>::max()})
      ctx.Unsupported("an axis of size " + std::to_string(split_.size));
    chunks_ = (split_.inner + kChunk - 1) / kChunk;
    const bool found = Dispatch(NumericTypes(), ctx.dtype(0), [&](auto tag) {
      using T = typename decltype(tag)::type;
      run_ = max_ ? &ArgReduceKernel::RunAs<true, T> : &ArgReduceKernel::RunAs<false, T>;
    });
    if (!found) ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
  }
  int64_t tiles() const override {
    return PiecesOf(split_.outer * chunks_,
                    32 * 1024 / (split_.size * std::min(split_.inner, kChunk) + 1) + 1);
  }
  void Run(const RunContext& ctx, int64_t tile) const override { (this->*run_)(ctx, tile); }

 private:
  // Neighbours along the inner axis that are searched together.
  static constexpr int64_t kChunk = 256;
  // As wide as most elements, so that both fit vectors of the same length.
  using Index = uint32_t;

  template <bool kMax, typename T>
  void RunAs(const RunContext& ctx, int64_t tile) const {
    const Range range = PieceOf(split_.outer * chunks_, tiles(), tile);
    for (int64_t unit = range.begin; unit < range.end; ++unit) {
      const int64_t outer = unit / chunks_, first = unit % chunks_ * kChunk;
      const int64_t count = std::min(kChunk, split_.inner - first);
      const T* src = ctx.in<T>(0) + outer * split_.size * split_.inner + first;
      int64_t* dst = ctx.out<int64_t>(0) + outer * split_.inner + first;
      if constexpr (std::is_same_v<T, float>) {
        if (split_.inner == 1) {
          *dst = FindInRow<kMax>(src);
          continue;
        }
      }
      // Where a tie goes to the last, candidates are taken from the end.
      ComputeType<T> best[kChunk];
      Index index[kChunk];
      const int64_t step = last_ ? -1 : 1, start = last_ ? split_.size - 1 : 0;
      for (int64_t j = 0; j < count; ++j) {
        best[j] = src[start * split_.inner + j];
        index[j] = static_cast<Index>(start);
      }
      for (int64_t n = 1; n < split_.size; ++n) {
        const int64_t i = start + n * step;
        const T* row = src + i * split_.inner;
        for (int64_t j = 0; j < count; ++j) {
          const ComputeType<T> x = row[j];
          const bool better = IsBetter<kMax>(x, best[j]);
          best[j] = better ? x : best[j];
          index[j] = better ? static_cast<Index>(i) : index[j];
        }
      }
      for (int64_t j = 0; j < count; ++j) dst[j] = index[j];
    }
  }

  template <bool kMax>
  int64_t FindInRow(const float* row) const {
    constexpr Fold kFold = kMax ? Fold::kMax : Fold::kMin;
    double best = FoldStart<kFold, float>();
    FoldFloatsInto(kFold, row, {1, 0, split_.size, 1}, nullptr, &best);
    const auto value = static_cast<float>(best);
    const auto is_best = [value](float x) { return x == value || (x != x && value != value); };
    if (!last_) return std::find_if(row, row + split_.size, is_best) - row;
    int64_t i = split_.size - 1;
    while (!is_best(row[i])) --i;
    return i;
  }

  bool max_ = true, last_ = false;
  AxisSplit split_;
  int64_t chunks_ = 1;
  void (ArgReduceKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

void InferArgReduce(InferContext& ctx) {
  SymShape shape = ctx.shape(0);
  const int64_t axis = ctx.Axis(ctx.attrs().Int("axis", 0), ctx.rank(0));
  if (ctx.attrs().Int("keepdims", 1) != 0)
    shape[static_cast<size_t>(axis)] = 1;
  else
    shape.erase(shape.begin() + axis);
  ctx.SetOutput(0, DataType::kInt64, std::move(shape));
}

Operator Define(std::string_view name) {
  return {.name = name,
          .versions = {1, 11, 12, 13},
          .infer = InferArgReduce,
          .kernels = {&Make<ArgReduceKernel>},
          .types = "T"};
}
const Operator kArgMax = Define("ArgMax"), kArgMin = Define("ArgMin");
const RegisterOperator kRegister[] = {RegisterOperator(kArgMax), RegisterOperator(kArgMin)};

}  // namespace
}  // namespace sluice
