#include <algorithm>

#include "kernels/dispatch.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"
#include "kernels/strided_copy.h"
#include "sluice/error.h"

// TensorScatter (24): a cache [batch, ..., max_length, ...] with an update [batch, ..., length, ...] written
// along `axis` from position write_indices[batch] on (0 without them). Mode "linear" must fit, "circular"
// goes on at the beginning. Any element type of 8 bits or more.

namespace sluice {
namespace {

class TensorScatterKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    place_ = Describe(ctx.node());
    const Shape &cache = ctx.shape(0), &update = ctx.shape(1);
    if (ctx.dtype(1) != type_) ctx.Fail("the update has another element type than the cache");
    const auto axis = static_cast<size_t>(
        CheckedAxis(ctx, ctx.attrs().Int("axis", -2), static_cast<int64_t>(cache.size())));
    if (axis == 0) ctx.Fail("axis is 0, the batch; expected another one");
    bool fits = update.size() == cache.size() && update[axis] <= cache[axis];
    for (size_t i = 0; fits && i < cache.size(); ++i) fits = i == axis || update[i] == cache[i];
    if (!fits)
      ctx.Fail("the update is " + ToString(update) + ", expected the cache's shape " + ToString(cache) +
               " or less along axis " + std::to_string(axis));
    const std::string mode = ctx.attrs().String("mode", "linear");
    if (mode != "linear" && mode != "circular")
      ctx.Fail("mode is '" + mode + "', expected 'linear' or 'circular'");
    circular_ = mode == "circular";
    if (ctx.has_input(2) && (ctx.dtype(2) != DataType::kInt64 || ctx.shape(2) != Shape{cache[0]}))
      ctx.Fail("write_indices are " + std::string(DataTypeName(ctx.dtype(2))) + " " + ToString(ctx.shape(2)) +
               ", expected int64 " + ToString(Shape{cache[0]}));
    // Nothing to do for an empty cache, however many rows it has.
    rows_ = NumElements(cache) == 0 ? 0 : NumElements(std::span(cache).first(axis));
    rows_per_batch_ = cache[0] == 0 ? 1 : rows_ / cache[0];
    inner_ = NumElements(std::span(cache).subspan(axis + 1));
    max_length_ = cache[axis];
    length_ = update[axis];
    ctx.AllowInPlace(0, 0);
  }
  // A tile has at least 2^14 elements, so that it outweighs its dispatch.
  int64_t tiles() const override {
    return std::min(std::max<int64_t>(rows_, 1), PiecesOf(rows_ * max_length_ * inner_, 1 << 14));
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const auto [begin, end] = PieceOf(rows_, tiles(), tile);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t start = StartOf(ctx, row / rows_per_batch_);
      DispatchBySize(type_, [&](auto tag) { Write<typename decltype(tag)::type>(ctx, row, start); });
    }
  }

 private:
  // Where the update of a batch item begins, in [0, max_length]; max_length > 0.
  int64_t StartOf(const RunContext& ctx, int64_t batch) const {
    const int64_t* starts = ctx.in<int64_t>(2);
    const int64_t start = starts == nullptr ? 0 : starts[batch];
    if (start < 0 || (!circular_ && start > max_length_ - length_)) {
      throw Error(ErrorCode::kInvalidArgument,
                  place_ + ": write index " + std::to_string(start) + " of batch item " +
                      std::to_string(batch) + " puts " + std::to_string(length_) +
                      " positions outside of a cache of " + std::to_string(max_length_));
    }
    return circular_ ? start % max_length_ : start;
  }
  template <typename T>
  void Write(const RunContext& ctx, int64_t row, int64_t start) const {
    const T* cache = ctx.in<T>(0) + row * max_length_ * inner_;
    const T* update = ctx.in<T>(1) + row * length_ * inner_;
    T* dst = ctx.out<T>(0) + row * max_length_ * inner_;
    if (cache != dst) std::copy_n(cache, max_length_ * inner_, dst);
    const int64_t straight = std::min(length_, max_length_ - start);
    std::copy_n(update, straight * inner_, dst + start * inner_);
    std::copy_n(update + straight * inner_, (length_ - straight) * inner_, dst);
  }

  DataType type_ = DataType::kUndefined;
  std::string place_;
  bool circular_ = false;
  int64_t rows_ = 0, rows_per_batch_ = 1, inner_ = 0, max_length_ = 0, length_ = 0;
};

const Operator kTensorScatter = {.name = "TensorScatter",
                                 .versions = {24},
                                 .min_inputs = 2,
                                 .max_inputs = 3,
                                 .infer = InferSameAsFirst,
                                 .kernels = {&Make<TensorScatterKernel>},
                                 .types = "all"};
const RegisterOperator kRegister(kTensorScatter);

}  // namespace
}  // namespace sluice
