#include <algorithm>

#include "kernels/forwarding_kernel.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/params.h"

// Max (1, 6, 8, 12, 13), Min (the same), Sum and Mean (1, 6, 8, 13): any number of inputs, with broadcasting
// from version 8 on. NaN wins in Max and Min.

namespace sluice {
namespace {

struct MaxOf {
  template <typename T>
  static T Join(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a > b || std::isnan(a) ? a : b;
    else
      return std::max(a, b);
  }
};
struct MinOf {
  template <typename T>
  static T Join(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a < b || std::isnan(a) ? a : b;
    else
      return std::min(a, b);
  }
};
struct SumOf {
  template <typename T>
  static T Join(T a, T b) {
    return a + b;
  }
};
struct MeanOf : SumOf {
  static constexpr bool kDivides = true;
};

// Joins the inputs one after the other, a run of elements at a time, in ComputeType.
template <typename Functor, typename T>
class VariadicKernel : public Kernel {
  using Wide = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    const std::vector<Broadcast::Operand> operands = Broadcast::Inputs(ctx, ctx.num_inputs());
    for (const Broadcast::Operand& operand : operands) broadcasts_.emplace_back(ctx, std::vector{operand});
    if constexpr (!std::is_same_v<Wide, T>) {
      // Sums of 16-bit floats are kept wide until the end.
      const int64_t longest = (ctx.output(0).num_elements() + tiles() - 1) / std::max<int64_t>(1, tiles());
      ctx.SetScratch(longest * static_cast<int64_t>(sizeof(Wide)));
    }
  }
  int64_t tiles() const override { return broadcasts_[0].tiles(); }

  void Run(const RunContext& ctx, int64_t tile) const override {
    T* dst = ctx.out<T>(0);
    int64_t first = -1, last = 0;
    Wide* sums = nullptr;
    for (size_t k = 0; k < broadcasts_.size(); ++k) {
      const Broadcast& broadcast = broadcasts_[k];
      broadcast.ForEachRow(tile, [&](int64_t at, const auto& src, int64_t count) {
        if (first < 0) {
          first = at;
          if constexpr (std::is_same_v<Wide, T>)
            sums = dst + first;
          else
            sums = ctx.scratch<Wide>();
        }
        last = at + count;
        Wide* to = sums + (at - first);
        WithStream(ctx.in<T>(static_cast<int>(k)) + src[0], broadcast.step(0), [&](auto x) {
          if (k == 0) {
            for (int64_t i = 0; i < count; ++i) to[i] = x[i];
          } else {
            for (int64_t i = 0; i < count; ++i) to[i] = Functor::Join(to[i], x[i]);
          }
        });
      });
    }
    if (first < 0) return;
    if constexpr (requires { Functor::kDivides; }) {
      const Wide count = static_cast<Wide>(broadcasts_.size());
      for (int64_t i = 0; i < last - first; ++i) sums[i] /= count;
    }
    if constexpr (!std::is_same_v<Wide, T>) {
      for (int64_t i = 0; i < last - first; ++i) dst[first + i] = static_cast<T>(sums[i]);
    }
  }

 private:
  std::vector<Broadcast> broadcasts_;
};

template <typename Functor, typename Types>
class AnyVariadicKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(Types(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<VariadicKernel<Functor, typename decltype(tag)::type>>();
    });
    if (!known) ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
};

void InferVariadic(InferContext& ctx) {
  CheckSameType(ctx);
  InferBroadcast(ctx);
}

template <typename Functor, typename Types>
Operator VariadicOperator(std::string_view name, std::vector<int> versions, std::string_view types) {
  return {.name = name,
          .versions = std::move(versions),
          .min_inputs = 1,
          .max_inputs = Operator::kMany,
          .infer = InferVariadic,
          .kernels = {&Make<AnyVariadicKernel<Functor, Types>>},
          .types = types};
}

constexpr std::string_view kFloats = "float, double, float16, bfloat16";

const Definition kDefinitions[] = {
    Definition(VariadicOperator<MaxOf, NumericTypes>("Max", {1, 6, 8, 12, 13}, "T")),
    Definition(VariadicOperator<MinOf, NumericTypes>("Min", {1, 6, 8, 12, 13}, "T")),
    Definition(VariadicOperator<SumOf, FloatTypes>("Sum", {1, 6, 8, 13}, kFloats)),
    Definition(VariadicOperator<MeanOf, FloatTypes>("Mean", {1, 6, 8, 13}, kFloats)),
};

}  // namespace
}  // namespace sluice
