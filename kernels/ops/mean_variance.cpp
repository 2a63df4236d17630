#include <cmath>

#include "kernels/moments.h"
#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"
#include "kernels/reduction.h"

// MeanVarianceNormalization (9, 13): y = (x - mean) / (sqrt(variance) + 1e-9), both taken over `axes`.

namespace sluice {
namespace {

constexpr double kTerm = 1e-9;  // the standard's

std::vector<int64_t> AxesOf(const Attributes& attrs) { return attrs.Ints("axes", {0, 2, 3}); }

template <typename T>
class MeanVarianceOf : public Kernel {
  using Sum = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& shape = ctx.shape(0);
    std::vector<bool> reduced(shape.size(), false);
    TensorDesc statistics{ctx.dtype(0), shape};
    for (int64_t axis : CheckedAxes(ctx, AxesOf(ctx.attrs()), static_cast<int64_t>(shape.size()))) {
      reduced[static_cast<size_t>(axis)] = true;
      statistics.shape[static_cast<size_t>(axis)] = 1;
    }
    empty_ = ctx.output(0).num_elements() == 0;
    if (!empty_) reduction_ = Reduction({ctx.dtype(0), shape}, statistics, reduced);
  }
  int64_t tiles() const override { return empty_ ? 0 : reduction_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const T* src = ctx.in<T>(0);
    T* dst = ctx.out<T>(0);
    reduction_.ForEachUnit(tile, [&](const Reduction::Unit& unit, int64_t boxes, auto begin) {
      const FoldBox& box = unit.box;
      double mean[Reduction::kMaxCount], factor[Reduction::kMaxCount];
      const auto for_each = [&](const auto& fn) {
        for (int64_t i = 0; i < boxes; ++i) fn(src + begin(i));
      };
      MomentsOf<T>(box, reduction_.length(), for_each, mean, factor);
      for (int64_t j = 0; j < box.count; ++j) factor[j] = 1 / (std::sqrt(factor[j]) + kTerm);
      for (int64_t i = 0; i < boxes; ++i) Normalize(src, begin(i), box, mean, factor, dst);
    });
  }

 private:
  static void Normalize(const T* src, int64_t begin, const FoldBox& box, const double* mean,
                        const double* factor, T* dst) {
    for (int64_t i = 0; i < box.length; ++i) {
      for (int64_t j = 0; j < box.count; ++j) {
        const int64_t at = begin + j * box.count_step + i * box.length_step;
        const double y = (static_cast<double>(static_cast<Sum>(src[at])) - mean[j]) * factor[j];
        dst[at] = static_cast<T>(static_cast<Sum>(y));
      }
    }
  }

  bool empty_ = false;
  Reduction reduction_;
};

void InferMeanVariance(InferContext& ctx) {
  CheckedAxes(ctx, AxesOf(ctx.attrs()), ctx.rank(0));
  InferSameAsFirst(ctx);
}

const Operator kMeanVariance = {.name = "MeanVarianceNormalization",
                                .versions = {9, 13},
                                .infer = InferMeanVariance,
                                .kernels = {&Make<TypedKernel<MeanVarianceOf>>},
                                .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kMeanVariance);

}  // namespace
}  // namespace sluice
