#include <algorithm>
#include <optional>

#include "kernels/fold.h"
#include "kernels/ops/axis_split.h"
#include "kernels/parallel.h"

// CumSum (11, 14) and CumProd (26) of numeric tensors. Floats are accumulated in double; integers wrap
// around.

namespace sluice {
namespace {

// The lines along the axis, neighbours in chunks.
struct Lines {
  // Neighbours along the inner axis that are accumulated together.
  static constexpr int64_t kChunk = 256;

  AxisSplit split;
  int64_t chunks = 1, units = 1;

  Lines() = default;
  explicit Lines(AxisSplit of) : split(of) {
    chunks = (split.inner + kChunk - 1) / kChunk;
    units = split.outer * chunks;
  }
  int64_t tiles() const {
    return PiecesOf(units, 32 * 1024 / (split.size * std::min(split.inner, kChunk) + 1) + 1);
  }
};

// Reports what the axis is refused for where only a run knows it.
struct RunTimeCheck {
  std::string place;
  [[noreturn]] void Fail(const std::string& message) const {
    throw Error(ErrorCode::kInvalidArgument, place + ": " + message);
  }
};

class CumulativeKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    shape_ = ctx.shape(0);
    check_.place = Describe(ctx.node());
    if (NumElements(ctx.shape(1)) != 1)
      ctx.Fail("axis has " + std::to_string(NumElements(ctx.shape(1))) + " elements, expected 1");
    wide_axis_ = ctx.dtype(1) == DataType::kInt64;
    if (!wide_axis_ && ctx.dtype(1) != DataType::kInt32)
      ctx.Fail("axis is " + std::string(DataTypeName(ctx.dtype(1))) + ", expected int64 or int32");
    if (const auto axis = InputInts(ctx, 1)) lines_ = Lines(SplitAt(ctx, shape_, false, axis->front()));
    exclusive_ = ctx.attrs().Int("exclusive", 0) != 0;
    reverse_ = ctx.attrs().Int("reverse", 0) != 0;
    const bool sum = ctx.node().op_type == "CumSum";
    const bool found = Dispatch(NumericTypes(), ctx.dtype(0), [&](auto tag) {
      using T = typename decltype(tag)::type;
      run_ = sum ? &CumulativeKernel::RunAs<Fold::kSum, T> : &CumulativeKernel::RunAs<Fold::kProduct, T>;
    });
    if (!found) ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
    ctx.AllowInPlace(0, 0);
  }
  // One where the axis is known to the run alone.
  int64_t tiles() const override { return lines_ ? lines_->tiles() : 1; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    if (lines_) return (this->*run_)(ctx, *lines_, PieceOf(lines_->units, tiles(), tile));
    const int64_t axis = wide_axis_ ? *ctx.in<int64_t>(1) : *ctx.in<int32_t>(1);
    const Lines lines(SplitAt(check_, shape_, false, axis));
    (this->*run_)(ctx, lines, {0, lines.units});
  }

 private:
  template <Fold kFold, typename T>
  void RunAs(const RunContext& ctx, const Lines& lines, Range range) const {
    using Acc = FoldType<kFold, T>;
    const AxisSplit& split = lines.split;
    for (int64_t unit = range.begin; unit < range.end; ++unit) {
      const int64_t first = unit % lines.chunks * Lines::kChunk;
      const int64_t count = std::min(Lines::kChunk, split.inner - first);
      const int64_t begin = unit / lines.chunks * split.size * split.inner + first;
      Acc acc[Lines::kChunk];
      std::fill_n(acc, count, FoldStart<kFold, T>());
      for (int64_t i = 0; i < split.size; ++i) {
        const int64_t at = begin + (reverse_ ? split.size - 1 - i : i) * split.inner;
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

  Shape shape_;
  RunTimeCheck check_;
  bool wide_axis_ = true;
  std::optional<Lines> lines_;
  bool exclusive_ = false, reverse_ = false;
  void (CumulativeKernel::*run_)(const RunContext&, const Lines&, Range) const = nullptr;
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
