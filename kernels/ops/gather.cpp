#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/ops/indices.h"
#include "kernels/parallel.h"
#include "kernels/strided_copy.h"

// Gather (1, 11, 13), GatherElements (11, 13), GatherND (11, 12 with batch_dims, 13). Any element type of 8
// bits or more; indices int32 or int64, negative ones count from the end.

namespace sluice {
namespace {

int64_t Product(const Shape& shape, size_t begin, size_t end) {
  return NumElements(std::span(shape).subspan(begin, end - begin));
}

constexpr int64_t kMinTileElems = 16 * 1024;

// dst[o, i, :] = src[o, index(i), :].
class GatherKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const Shape& src = ctx.shape(0);
    const auto axis =
        static_cast<size_t>(CheckedAxis(ctx, ctx.attrs().Int("axis", 0), static_cast<int64_t>(src.size())));
    count_ = NumElements(ctx.shape(1));
    inner_ = Product(src, axis + 1, src.size());
    rows_ = Product(src, 0, axis) * count_;
    size_ = src[axis];
    indices_ = Indices(ctx, 1);
    if (inner_ == 0) rows_ = 0;
  }
  int64_t tiles() const override { return PiecesOf(rows_, kMinTileElems / std::max<int64_t>(inner_, 1) + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    DispatchBySize(type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* src = ctx.in<T>(0);
      T* dst = ctx.out<T>(0);
      const auto [begin, end] = PieceOf(rows_, tiles(), tile);
      for (int64_t row = begin; row < end; ++row) {
        const T* from = src + (row / count_ * size_ + indices_.At(ctx, row % count_, size_)) * inner_;
        std::copy(from, from + inner_, dst + row * inner_);
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  Indices indices_;
  int64_t count_ = 0, inner_ = 0, rows_ = 0, size_ = 0;
};

void InferGather(InferContext& ctx) {
  const auto axis = static_cast<size_t>(ctx.Axis(ctx.attrs().Int("axis", 0), ctx.rank(0)));
  SymShape shape(ctx.shape(0).begin(), ctx.shape(0).begin() + static_cast<std::ptrdiff_t>(axis));
  shape.insert(shape.end(), ctx.shape(1).begin(), ctx.shape(1).end());
  shape.insert(shape.end(), ctx.shape(0).begin() + static_cast<std::ptrdiff_t>(axis) + 1, ctx.shape(0).end());
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

// dst[..., i, ...] = src[..., index(..., i, ...), ...], where the other coordinates are dst's own.
class GatherElementsKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    axis_ = static_cast<size_t>(
        CheckedAxis(ctx, ctx.attrs().Int("axis", 0), static_cast<int64_t>(ctx.shape(0).size())));
    indices_ = Indices(ctx, 1);
    sizes_ = ctx.shape(1);
    strides_ = RowMajorStrides(ctx.shape(0));
    size_ = ctx.shape(0)[axis_];
    count_ = NumElements(sizes_);
    for (size_t i = 0; i < sizes_.size(); ++i) {
      if (i != axis_ && sizes_[i] > ctx.shape(0)[i])
        ctx.Fail("indices " + ToString(sizes_) + " exceed the data " + ToString(ctx.shape(0)));
    }
  }
  int64_t tiles() const override { return PiecesOf(count_, kMinTileElems); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    DispatchBySize(type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* src = ctx.in<T>(0);
      T* dst = ctx.out<T>(0);
      const auto [begin, end] = PieceOf(count_, tiles(), tile);
      for (int64_t i = begin; i < end; ++i) {
        dst[i] = src[OffsetOf(i, sizes_, strides_, axis_) + indices_.At(ctx, i, size_) * strides_[axis_]];
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  Indices indices_;
  Shape sizes_, strides_;
  size_t axis_ = 0;
  int64_t size_ = 0, count_ = 0;
};

void InferGatherElements(InferContext& ctx) {
  if (ctx.rank(0) != ctx.rank(1))
    ctx.Fail("data is " + ToString(ctx.shape(0)) + ", indices are " + ToString(ctx.shape(1)) +
             ", expected the same rank");
  ctx.SetOutput(0, ctx.dtype(0), ctx.shape(1));
}

class GatherNDKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    const Shape &src = ctx.shape(0), &indices = ctx.shape(1);
    const auto batch = static_cast<size_t>(ctx.attrs().Int("batch_dims", 0));
    depth_ = static_cast<size_t>(indices.back());
    indices_ = Indices(ctx, 1);
    sizes_.assign(src.begin() + static_cast<std::ptrdiff_t>(batch),
                  src.begin() + static_cast<std::ptrdiff_t>(batch + depth_));
    inner_ = Product(src, batch + depth_, src.size());
    per_batch_src_ = Product(src, batch, src.size());
    per_batch_rows_ = std::max<int64_t>(Product(indices, batch, indices.size() - 1), 1);
    rows_ = inner_ == 0 ? 0 : Product(indices, 0, indices.size() - 1);
    strides_ = RowMajorStrides(sizes_);
  }
  int64_t tiles() const override { return PiecesOf(rows_, kMinTileElems / std::max<int64_t>(inner_, 1) + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    DispatchBySize(type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* src = ctx.in<T>(0);
      T* dst = ctx.out<T>(0);
      const auto [begin, end] = PieceOf(rows_, tiles(), tile);
      for (int64_t row = begin; row < end; ++row) {
        int64_t at = 0;
        for (size_t d = 0; d < depth_; ++d) {
          at += indices_.At(ctx, row * static_cast<int64_t>(depth_) + static_cast<int64_t>(d), sizes_[d]) *
                strides_[d];
        }
        const T* from = src + row / per_batch_rows_ * per_batch_src_ + at * inner_;
        std::copy(from, from + inner_, dst + row * inner_);
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  Indices indices_;
  size_t depth_ = 0;
  Shape sizes_, strides_;
  int64_t inner_ = 0, rows_ = 0, per_batch_src_ = 0, per_batch_rows_ = 1;
};

void InferGatherND(InferContext& ctx) {
  const SymShape &src = ctx.shape(0), &indices = ctx.shape(1);
  const int64_t batch = ctx.attrs().Int("batch_dims", 0);
  if (src.empty() || indices.empty()) ctx.Fail("data and indices must not be scalars");
  if (batch < 0 || batch >= std::min(ctx.rank(0), ctx.rank(1)))
    ctx.Fail("batch_dims is " + std::to_string(batch));
  for (int64_t i = 0; i < batch; ++i) {
    const Dim &a = src[static_cast<size_t>(i)], &b = indices[static_cast<size_t>(i)];
    if (a.known() && b.known() && a.value() != b.value())
      ctx.Fail("data " + ToString(src) + " and indices " + ToString(indices) + " have different batches");
  }
  if (!indices.back().known()) return ctx.SetUnknownShape(0, ctx.dtype(0));
  const int64_t depth = indices.back().value();
  if (depth > ctx.rank(0) - batch)
    ctx.Fail("indices " + ToString(indices) + " are deeper than the data " + ToString(src));
  SymShape shape(indices.begin(), indices.end() - 1);
  shape.insert(shape.end(), src.begin() + batch + depth, src.end());
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

const Operator kGather = {.name = "Gather",
                          .versions = {1, 11, 13},
                          .min_inputs = 2,
                          .max_inputs = 2,
                          .infer = InferGather,
                          .kernels = {&Make<GatherKernel>},
                          .types = "all"};
const Operator kGatherElements = {.name = "GatherElements",
                                  .versions = {11, 13},
                                  .min_inputs = 2,
                                  .max_inputs = 2,
                                  .infer = InferGatherElements,
                                  .kernels = {&Make<GatherElementsKernel>},
                                  .types = "all"};
const Operator kGatherND = {.name = "GatherND",
                            .versions = {11, 12, 13},
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .infer = InferGatherND,
                            .kernels = {&Make<GatherNDKernel>},
                            .types = "all"};
const RegisterOperator kRegister[] = {RegisterOperator(kGather), RegisterOperator(kGatherElements),
                                      RegisterOperator(kGatherND)};

}  // namespace
}  // namespace sluice
