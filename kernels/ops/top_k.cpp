#include <algorithm>
#include <numeric>

#include "kernels/dispatch.h"
#include "kernels/ops/axis_split.h"
#include "kernels/parallel.h"

// TopK (1, 10, 11, 24) of numeric tensors. Equal elements come in the order of their indices; NaN counts as
// the largest. The result is sorted whether asked or not.

namespace sluice {
namespace {

// k, an attribute in version 1; nothing where a run decides.
template <typename Context>
std::optional<int64_t> KOf(const Context& ctx) {
  std::optional<int64_t> k;
  if (ctx.since_version() < 10) {
    k = ctx.attrs().Int("k");
  } else if (const auto input = InputInts(ctx, 1)) {
    if (input->size() != 1) ctx.Fail("k has " + std::to_string(input->size()) + " elements, expected 1");
    k = input->front();
  }
  if (k && *k < 0) ctx.Fail("k is " + std::to_string(*k));
  return k;
}

template <typename T>
bool Less(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a || b != b) return a == a && b != b;
  }
  return a < b;
}

class TopKKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    split_ = SplitAt(ctx, ctx.shape(0), false, ctx.attrs().Int("axis", -1));
    k_ = *KOf(ctx);
    if (k_ > split_.size)
      ctx.Fail("k is " + std::to_string(k_) + ", the axis has size " + std::to_string(split_.size));
    const bool largest = ctx.attrs().Int("largest", 1) != 0;
    const bool found = Dispatch(NumericTypes(), ctx.dtype(0), [&](auto tag) {
      using T = typename decltype(tag)::type;
      run_ = largest ? &TopKKernel::RunAs<true, T> : &TopKKernel::RunAs<false, T>;
    });
    if (!found) ctx.Unsupported("input of type " + std::string(DataTypeName(ctx.dtype(0))));
    ctx.SetScratch(ByteSize(DataType::kInt64, split_.size));
  }
  int64_t tiles() const override {
    return PiecesOf(split_.outer * split_.inner, 16 * 1024 / (split_.size + 1) + 1);
  }
  void Run(const RunContext& ctx, int64_t tile) const override { (this->*run_)(ctx, tile); }

 private:
  template <bool kLargest, typename T>
  void RunAs(const RunContext& ctx, int64_t tile) const {
    const Range range = PieceOf(split_.outer * split_.inner, tiles(), tile);
    int64_t* order = ctx.scratch<int64_t>();
    for (int64_t line = range.begin; line < range.end; ++line) {
      const int64_t outer = line / split_.inner, inner = line % split_.inner;
      const T* src = ctx.in<T>(0) + outer * split_.size * split_.inner + inner;
      const auto value = [&](int64_t i) { return static_cast<ComputeType<T>>(src[i * split_.inner]); };
      const auto before = [&](int64_t a, int64_t b) {
        const ComputeType<T> x = value(a), y = value(b);
        if (kLargest ? Less(y, x) : Less(x, y)) return true;
        return !(kLargest ? Less(x, y) : Less(y, x)) && a < b;
      };
      std::iota(order, order + split_.size, int64_t{0});
      // A heap of k pays while k is small.
      if (k_ < split_.size / 16) {
        std::partial_sort(order, order + k_, order + split_.size, before);
      } else {
        if (k_ < split_.size) std::nth_element(order, order + k_, order + split_.size, before);
        std::sort(order, order + k_, before);
      }
      const int64_t dst = outer * k_ * split_.inner + inner;
      T* values = ctx.out<T>(0);
      int64_t* indices = ctx.out<int64_t>(1);
      for (int64_t i = 0; i < k_; ++i) {
        if (values != nullptr) values[dst + i * split_.inner] = src[order[i] * split_.inner];
        if (indices != nullptr) indices[dst + i * split_.inner] = order[i];
      }
    }
  }

  AxisSplit split_;
  int64_t k_ = 0;
  void (TopKKernel::*run_)(const RunContext&, int64_t) const = nullptr;
};

void InferTopK(InferContext& ctx) {
  if (ctx.num_inputs() != (ctx.since_version() < 10 ? 1 : 2))
    ctx.Fail("has " + std::to_string(ctx.num_inputs()) + " inputs");
  SymShape shape = ctx.shape(0);
  Dim& size = shape[static_cast<size_t>(ctx.Axis(ctx.attrs().Int("axis", -1), ctx.rank(0)))];
  const auto k = KOf(ctx);
  if (k && size.known() && *k > size.value())
    ctx.Fail("k is " + std::to_string(*k) + ", the axis has size " + std::to_string(size.value()));
  size = k ? Dim(*k) : Dim();
  ctx.SetOutput(0, ctx.dtype(0), shape);
  ctx.SetOutput(1, DataType::kInt64, std::move(shape));
}

const Operator kTopK = {.name = "TopK",
                        .versions = {1, 10, 11, 24},
                        .max_inputs = 2,
                        .min_outputs = 1,
                        .max_outputs = 2,
                        .infer = InferTopK,
                        .kernels = {&Make<TopKKernel>},
                        .types = "T"};
const RegisterOperator kRegister(kTopK);

}  // namespace
}  // namespace sluice
