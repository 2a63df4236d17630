#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "kernels/ops/indices.h"
#include "kernels/strided_copy.h"

// Scatter (9, 11), ScatterElements (11, 13, 16, 18), ScatterND (11, 13, 16, 18). Without reduction any
// element type of 8 bits or more, otherwise numbers.

namespace sluice {
namespace {

enum class Reduction { kNone, kAdd, kMul, kMin, kMax };

Reduction ReductionOf(const PrepareContext& ctx) {
  const std::string name = ctx.attrs().String("reduction", "none");
  if (name == "none") return Reduction::kNone;
  if (!Contains(NumericTypes(), ctx.dtype(0)))
    ctx.Unsupported("reduction " + name + " of " + std::string(DataTypeName(ctx.dtype(0))));
  if (name == "add") return Reduction::kAdd;
  if (name == "mul") return Reduction::kMul;
  if (name == "min") return Reduction::kMin;
  if (name == "max") return Reduction::kMax;
  ctx.Fail("unknown reduction '" + name + "'");
}

template <typename T>
T Reduce(Reduction reduction, T stored, T update) {
  const auto a = static_cast<ComputeType<T>>(stored), b = static_cast<ComputeType<T>>(update);
  switch (reduction) {
    case Reduction::kAdd:
      return static_cast<T>(a + b);
    case Reduction::kMul:
      return static_cast<T>(a * b);
    case Reduction::kMin:
      return b < a || b != b ? update : stored;
    case Reduction::kMax:
      return b > a || b != b ? update : stored;
    case Reduction::kNone:
      break;
  }
  return update;
}

// Updates may meet in one element, so a scatter is one tile and goes in order.
class ScatterBase : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    if (ctx.dtype(2) != type_) ctx.Fail("updates have another element type than the data");
    reduction_ = ReductionOf(ctx);
    indices_ = Indices(ctx, 1);
    total_ = NumElements(ctx.shape(0));
    ctx.AllowInPlace(0, 0);
    PrepareSizes(ctx);
  }
  void Run(const RunContext& ctx, int64_t) const override {
    if (reduction_ == Reduction::kNone) {
      DispatchBySize(type_, [&](auto tag) {
        using T = typename decltype(tag)::type;
        Copy<T>(ctx);
        ForEachUpdate(ctx, [&](int64_t at, int64_t from, int64_t n) {
          std::copy_n(ctx.in<T>(2) + from, n, ctx.out<T>(0) + at);
        });
      });
      return;
    }
    Dispatch(NumericTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      Copy<T>(ctx);
      ForEachUpdate(ctx, [&](int64_t at, int64_t from, int64_t n) {
        const T* src = ctx.in<T>(2) + from;
        T* dst = ctx.out<T>(0) + at;
        for (int64_t i = 0; i < n; ++i) dst[i] = Reduce(reduction_, dst[i], src[i]);
      });
    });
  }

 protected:
  // Position in the data, position in the updates, number of elements.
  using Update = std::function<void(int64_t, int64_t, int64_t)>;
  virtual void PrepareSizes(PrepareContext& ctx) = 0;
  virtual void ForEachUpdate(const RunContext& ctx, const Update& update) const = 0;

  Indices indices_;

 private:
  template <typename T>
  void Copy(const RunContext& ctx) const {
    if (ctx.in<T>(0) != ctx.out<T>(0)) std::copy_n(ctx.in<T>(0), total_, ctx.out<T>(0));
  }

  DataType type_ = DataType::kUndefined;
  Reduction reduction_ = Reduction::kNone;
  int64_t total_ = 0;
};

class ScatterElementsKernel : public ScatterBase {
  void PrepareSizes(PrepareContext& ctx) override {
    const Shape& data = ctx.shape(0);
    axis_ =
        static_cast<size_t>(CheckedAxis(ctx, ctx.attrs().Int("axis", 0), static_cast<int64_t>(data.size())));
    sizes_ = ctx.shape(1);
    if (ctx.shape(2) != sizes_)
      ctx.Fail("updates are " + ToString(ctx.shape(2)) + ", expected the indices' shape " + ToString(sizes_));
    for (size_t i = 0; i < sizes_.size(); ++i) {
      if (i != axis_ && sizes_[i] > data[i])
        ctx.Fail("indices " + ToString(sizes_) + " exceed the data " + ToString(data));
    }
    strides_ = RowMajorStrides(data);
    count_ = NumElements(sizes_);
    size_ = data[axis_];
  }
  void ForEachUpdate(const RunContext& ctx, const Update& update) const override {
    for (int64_t i = 0; i < count_; ++i) {
      update(OffsetOf(i, sizes_, strides_, axis_) + indices_.At(ctx, i, size_) * strides_[axis_], i, 1);
    }
  }

  size_t axis_ = 0;
  Shape sizes_, strides_;
  int64_t count_ = 0, size_ = 0;
};

class ScatterNDKernel : public ScatterBase {
  void PrepareSizes(PrepareContext& ctx) override {
    const Shape &data = ctx.shape(0), &indices = ctx.shape(1);
    if (data.empty() || indices.empty()) ctx.Fail("data and indices must not be scalars");
    depth_ = indices.back();
    if (depth_ > static_cast<int64_t>(data.size()))
      ctx.Fail("indices " + ToString(indices) + " are deeper than the data " + ToString(data));
    Shape expected(indices.begin(), indices.end() - 1);
    expected.insert(expected.end(), data.begin() + depth_, data.end());
    if (ctx.shape(2) != expected)
      ctx.Fail("updates are " + ToString(ctx.shape(2)) + ", expected " + ToString(expected));
    sizes_.assign(data.begin(), data.begin() + depth_);
    strides_ = RowMajorStrides(data);
    inner_ = NumElements(std::span(data).subspan(static_cast<size_t>(depth_)));
    rows_ = NumElements(std::span(indices).first(indices.size() - 1));
  }
  void ForEachUpdate(const RunContext& ctx, const Update& update) const override {
    for (int64_t row = 0; row < rows_; ++row) {
      int64_t at = 0;
      for (int64_t d = 0; d < depth_; ++d) {
        const auto axis = static_cast<size_t>(d);
        at += indices_.At(ctx, row * depth_ + d, sizes_[axis]) * strides_[axis];
      }
      update(at, row * inner_, inner_);
    }
  }

  int64_t depth_ = 0, inner_ = 0, rows_ = 0;
  Shape sizes_, strides_;
};

void InferScatterElements(InferContext& ctx) {
  if (ctx.rank(0) != ctx.rank(1))
    ctx.Fail("data is " + ToString(ctx.shape(0)) + ", indices are " + ToString(ctx.shape(1)) +
             ", expected the same rank");
  InferSameAsFirst(ctx);
}

const Operator kScatter = {.name = "Scatter",
                           .versions = {9, 11},
                           .min_inputs = 3,
                           .max_inputs = 3,
                           .infer = InferScatterElements,
                           .kernels = {&Make<ScatterElementsKernel>},
                           .types = "all"};
const Operator kScatterElements = {.name = "ScatterElements",
                                   .versions = {11, 13, 16, 18},
                                   .min_inputs = 3,
                                   .max_inputs = 3,
                                   .infer = InferScatterElements,
                                   .kernels = {&Make<ScatterElementsKernel>},
                                   .types = "all"};
const Operator kScatterND = {.name = "ScatterND",
                             .versions = {11, 13, 16, 18},
                             .min_inputs = 3,
                             .max_inputs = 3,
                             .infer = InferSameAsFirst,
                             .kernels = {&Make<ScatterNDKernel>},
                             .types = "all"};
const RegisterOperator kRegister[] = {RegisterOperator(kScatter), RegisterOperator(kScatterElements),
                                      RegisterOperator(kScatterND)};

}  // namespace
}  // namespace sluice
