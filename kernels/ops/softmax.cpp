#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"

// Softmax, LogSoftmax, Hardmax (1, 11, 13). From version 13 on along one axis; before, x is taken as a matrix
// whose rows are the axes from `axis` (1 by default) on.

namespace sluice {
namespace {

constexpr int64_t kTileElems = 16 * 1024;

// dst[i] = exp(src[i] - max) / sum of exp(src[j] - max), with a step between elements. A row of only -inf
// yields NaN.
struct SoftmaxOf {
  template <typename Sum>
  static void Row(Sum* row, int64_t n) {
    const Sum max = *std::max_element(row, row + n);
    Sum sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += row[i] = std::exp(row[i] - max);
    for (int64_t i = 0; i < n; ++i) row[i] /= sum;
  }
};

struct LogSoftmaxOf {
  template <typename Sum>
  static void Row(Sum* row, int64_t n) {
    const Sum max = *std::max_element(row, row + n);
    Sum sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(row[i] - max);
    const Sum log_sum = std::log(sum) + max;
    for (int64_t i = 0; i < n; ++i) row[i] -= log_sum;
  }
};

// 1 at the first of the largest, 0 elsewhere.
struct HardmaxOf {
  template <typename Sum>
  static void Row(Sum* row, int64_t n) {
    const auto best = std::max_element(row, row + n) - row;
    std::fill_n(row, n, Sum(0));
    row[best] = 1;
  }
};

// x as [outer, n, inner]; a row is n elements, `inner` apart.
template <typename RowFunction, typename T>
class RowKernelOf : public Kernel {
  using Sum = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& shape = ctx.shape(0);
    const auto rank = static_cast<int64_t>(shape.size());
    const bool matrix = ctx.since_version() < 13;
    int64_t axis = ctx.attrs().Int("axis", matrix ? 1 : -1);
    // A matrix may also begin after the last axis.
    if (!(matrix && axis == rank)) axis = rank == 0 ? 0 : CheckedAxis(ctx, axis, rank);
    for (int64_t i = 0; i < rank; ++i)
      (i < axis ? outer_ : i == axis || matrix ? n_ : inner_) *= shape[static_cast<size_t>(i)];
    const int64_t elems = outer_ * n_ * inner_;
    tiles_ = elems == 0 ? 0 : std::min(outer_ * inner_, PiecesOf(elems, kTileElems));
    ctx.SetScratch(n_ * static_cast<int64_t>(sizeof(Sum)));
    ctx.AllowInPlace(0, 0);
  }
  int64_t tiles() const override { return tiles_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range rows = PieceOf(outer_ * inner_, tiles_, tile);
    Sum* row = ctx.scratch<Sum>();
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t at = r / inner_ * n_ * inner_ + r % inner_;
      const T* src = ctx.in<T>(0) + at;
      T* dst = ctx.out<T>(0) + at;
      for (int64_t i = 0; i < n_; ++i) row[i] = static_cast<Sum>(src[i * inner_]);
      RowFunction::Row(row, n_);
      for (int64_t i = 0; i < n_; ++i) dst[i * inner_] = static_cast<T>(row[i]);
    }
  }

 private:
  int64_t outer_ = 1, n_ = 1, inner_ = 1, tiles_ = 0;
};

template <typename RowFunction>
class RowKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(FloatTypes(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<RowKernelOf<RowFunction, typename decltype(tag)::type>>();
    });
    if (!known) ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
  int64_t tiles() const override { return impl_->tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override { impl_->Run(ctx, tile); }

 private:
  std::unique_ptr<Kernel> impl_;
};

void InferRows(InferContext& ctx) {
  const int64_t rank = ctx.rank(0), axis = ctx.attrs().Int("axis", ctx.since_version() < 13 ? 1 : -1);
  const bool after_last = ctx.since_version() < 13 && axis == rank;
  if (rank > 0 && !after_last) ctx.Axis(axis, rank);
  InferSameAsFirst(ctx);
}

template <typename RowFunction>
Operator RowOperator(std::string_view name) {
  Operator op;
  op.name = name;
  op.versions = {1, 11, 13};
  op.infer = InferRows;
  op.kernels = {&Make<RowKernel<RowFunction>>};
  op.types = "float, double, float16, bfloat16";
  return op;
}

const Definition kDefinitions[] = {
    Definition(RowOperator<SoftmaxOf>("Softmax")),
    Definition(RowOperator<LogSoftmaxOf>("LogSoftmax")),
    Definition(RowOperator<HardmaxOf>("Hardmax")),
};

}  // namespace
}  // namespace sluice
