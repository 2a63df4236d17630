#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"

// Trilu (14): any element type of 8 bits or more. EyeLike (9, 22): numeric types and bool.

namespace sluice {
namespace {

class TriluKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    upper_ = ctx.attrs().Int("upper", 1) != 0;
    const Shape& shape = ctx.shape(0);
    columns_ = shape[shape.size() - 1];
    rows_ = shape[shape.size() - 2];
    lines_ = rows_ * NumElements(std::span(shape).first(shape.size() - 2));
    if (ctx.has_input(1) && (ctx.dtype(1) != DataType::kInt64 || NumElements(ctx.shape(1)) != 1))
      ctx.Fail("k is " + std::string(DataTypeName(ctx.dtype(1))) + " " + ToString(ctx.shape(1)) +
               ", expected one int64");
    ctx.AllowInPlace(0, 0);
  }
  int64_t tiles() const override { return PiecesOf(lines_, 32 * 1024 / (columns_ + 1) + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(lines_, tiles(), tile);
    const int64_t* k = ctx.in<int64_t>(1);
    DispatchBySize(type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t line = range.begin; line < range.end; ++line) {
        const T* src = ctx.in<T>(0) + line * columns_;
        T* dst = ctx.out<T>(0) + line * columns_;
        const int64_t diagonal = DiagonalOf(line % rows_, k == nullptr ? 0 : *k);
        const Range kept = upper_ ? Range{diagonal, columns_} : Range{0, diagonal};
        std::fill(dst, dst + kept.begin, T());
        if (src != dst) std::copy(src + kept.begin, src + kept.end, dst + kept.begin);
        std::fill(dst + kept.end, dst + columns_, T());
      }
    });
  }

 private:
  // Where the kept part of a row begins (upper) or ends: the diagonal itself is kept.
  int64_t DiagonalOf(int64_t row, int64_t k) const {
    const bool past_end = k >= columns_;
    if (upper_) return past_end ? columns_ : k <= -row ? 0 : std::min(row + k, columns_);
    return past_end ? columns_ : k < -row ? 0 : std::min(row + k + 1, columns_);
  }

  DataType type_ = DataType::kUndefined;
  bool upper_ = true;
  int64_t rows_ = 0, columns_ = 0, lines_ = 0;
};

class EyeLikeKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.output(0).dtype;
    if (!Contains(NumericTypes(), type_) && type_ != DataType::kBool)
      ctx.Unsupported("result of type " + std::string(DataTypeName(type_)));
    rows_ = ctx.shape(0)[0];
    columns_ = ctx.shape(0)[1];
    k_ = ctx.attrs().Int("k", 0);
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const auto fill = [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* dst = ctx.out<T>(0);
      std::fill_n(dst, rows_ * columns_, static_cast<T>(0));
      if (k_ <= -rows_ || k_ >= columns_) return;
      const int64_t first = std::max<int64_t>(0, -k_), last = std::min(rows_, columns_ - k_);
      for (int64_t row = first; row < last; ++row) dst[row * columns_ + row + k_] = static_cast<T>(1);
    };
    if (!Dispatch(NumericTypes(), type_, fill)) fill(TypeTag<bool>());
  }

 private:
  DataType type_ = DataType::kUndefined;
  int64_t rows_ = 0, columns_ = 0, k_ = 0;
};

void InferTrilu(InferContext& ctx) {
  if (ctx.rank(0) < 2) ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected rank 2 at least");
  InferSameAsFirst(ctx);
}

void InferEyeLike(InferContext& ctx) {
  if (ctx.rank(0) != 2) ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected rank 2");
  const auto type = static_cast<DataType>(ctx.attrs().Int("dtype", static_cast<int64_t>(ctx.dtype(0))));
  ctx.SetOutput(0, type, ctx.shape(0));
}

const Operator kTrilu = {.name = "Trilu",
                         .versions = {14},
                         .max_inputs = 2,
                         .infer = InferTrilu,
                         .kernels = {&Make<TriluKernel>},
                         .types = "all"};
const Operator kEyeLike = {.name = "EyeLike",
                           .versions = {9, 22},
                           .infer = InferEyeLike,
                           .kernels = {&Make<EyeLikeKernel>},
                           .shape_only = true,
                           .types = "T, bool"};
const RegisterOperator kRegister[] = {RegisterOperator(kTrilu), RegisterOperator(kEyeLike)};

}  // namespace
}  // namespace sluice
