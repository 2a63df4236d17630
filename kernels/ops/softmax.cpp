#include <cmath>

#include "kernels/ops/axis_lines.h"
#include "kernels/ops/typed_kernel.h"

// Softmax, LogSoftmax, Hardmax (1, 11, 13). From version 13 on along one axis; before, x is taken as a matrix
// whose rows are the axes from `axis` (1 by default) on.

namespace sluice {
namespace {

// The lines that the operator works along.
AxisLines LinesOf(const PrepareContext& ctx) {
  const Shape& shape = ctx.shape(0);
  const auto rank = static_cast<int64_t>(shape.size());
  const bool matrix = ctx.since_version() < 13;
  int64_t axis = ctx.attrs().Int("axis", matrix ? 1 : -1);
  // A matrix may also begin after the last axis; a scalar is one line.
  if (rank == 0)
    axis = 0;
  else if (!(matrix && axis == rank))
    axis = CheckedAxis(ctx, axis, rank);
  AxisSplit split;
  for (int64_t i = 0; i < rank; ++i)
    (i < axis              ? split.outer
     : i == axis || matrix ? split.size
                           : split.inner) *= shape[static_cast<size_t>(i)];
  return AxisLines(split);
}

template <typename T>
class LinesKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    lines_ = LinesOf(ctx);
    ctx.AllowInPlace(0, 0);
  }
  int64_t tiles() const override { return lines_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    lines_.ForEachUnit(tile, [&](int64_t at, const FoldBox& box) {
      double max[AxisLines::kMaxLines];
      std::fill_n(max, box.count, FoldStart<Fold::kMax, T>());
      FoldBoxInto<Fold::kMax>(ctx.in<T>(0) + at, box, nullptr, max);
      RunUnit(ctx.in<T>(0) + at, box, max, ctx.out<T>(0) + at);
    });
  }

 private:
  // max: of each line; NaN where there is one.
  virtual void RunUnit(const T* src, const FoldBox& box, const double* max, T* dst) const = 0;

  AxisLines lines_;
};

// dst = exp(src - max) / sum of exp(src - max). A line of only -inf yields NaN.
template <typename T>
class SoftmaxOf : public LinesKernel<T> {
  void RunUnit(const T* src, const FoldBox& box, const double* max, T* dst) const override {
    double sum[AxisLines::kMaxLines], zero[AxisLines::kMaxLines] = {};
    std::fill_n(sum, box.count, 0.0);
    if constexpr (std::is_same_v<T, float>) {
      float shift[AxisLines::kMaxLines];
      for (int64_t j = 0; j < box.count; ++j) shift[j] = static_cast<float>(max[j]);
      ForEachLanes(box, [&](int64_t at, int64_t positions, int64_t lanes, int64_t ld, int64_t j) {
        ExpLanes(src + at, positions, lanes, ld, shift + j, dst + at);
      });
      FoldBoxInto<Fold::kSum>(dst, box, nullptr, sum);
      for (int64_t j = 0; j < box.count; ++j) sum[j] = 1 / sum[j];
      ScaleBox(dst, box, zero, sum, dst);
    } else {
      FoldBoxInto<Fold::kSumExp>(src, box, max, sum);
      for (int64_t i = 0; i < box.length; ++i) {
        for (int64_t j = 0; j < box.count; ++j) {
          const int64_t at = j * box.count_step + i * box.length_step;
          dst[at] = Saturated<T>(std::exp(static_cast<double>(src[at]) - max[j]) / sum[j]);
        }
      }
    }
  }
};

// dst = src - max - log of the sum of exp(src - max).
template <typename T>
class LogSoftmaxOf : public LinesKernel<T> {
  void RunUnit(const T* src, const FoldBox& box, const double* max, T* dst) const override {
    double sum[AxisLines::kMaxLines];
    std::fill_n(sum, box.count, 0.0);
    FoldBoxInto<Fold::kSumExp>(src, box, max, sum);
    double ones[AxisLines::kMaxLines];
    std::fill_n(ones, box.count, 1.0);
    for (int64_t j = 0; j < box.count; ++j) sum[j] = max[j] + std::log(sum[j]);
    ScaleBox(src, box, sum, ones, dst);
  }
};

// 1 at the first of the largest, 0 elsewhere.
template <typename T>
class HardmaxOf : public LinesKernel<T> {
  void RunUnit(const T* src, const FoldBox& box, const double* max, T* dst) const override {
    for (int64_t j = 0; j < box.count; ++j) {
      bool found = false;
      for (int64_t i = 0; i < box.length; ++i) {
        const int64_t at = j * box.count_step + i * box.length_step;
        const double x = static_cast<double>(src[at]);
        const bool first = !found && (x == max[j] || (x != x && max[j] != max[j]));
        found |= first;
        dst[at] = static_cast<T>(first ? 1.0f : 0.0f);
      }
    }
  }
};

void InferLines(InferContext& ctx) {
  const int64_t rank = ctx.rank(0), axis = ctx.attrs().Int("axis", ctx.since_version() < 13 ? 1 : -1);
  const bool after_last = ctx.since_version() < 13 && axis == rank;
  if (rank > 0 && !after_last) ctx.Axis(axis, rank);
  InferSameAsFirst(ctx);
}

template <template <typename> class K>
Operator LinesOperator(std::string_view name) {
  return {.name = name,
          .versions = {1, 11, 13},
          .infer = InferLines,
          .kernels = {&Make<TypedKernel<K>>},
          .types = "float, double, float16, bfloat16"};
}

const Operator kOperators[] = {
    LinesOperator<SoftmaxOf>("Softmax"),
    LinesOperator<LogSoftmaxOf>("LogSoftmax"),
    LinesOperator<HardmaxOf>("Hardmax"),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
