#include <limits>

#include "kernels/ops/elementwise.h"
#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"

// Clip: min(max(x, low), high), NaN stays. Limits are attributes in versions 1 and 6, scalar inputs from 11
// on.

namespace sluice {
namespace {

constexpr int kLimitsAreInputs = 11;

template <typename T>
class ClipKernel : public Kernel {
  using Wide = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    const bool inputs = ctx.since_version() >= kLimitsAreInputs;
    has_low_ = inputs && ctx.has_input(1);
    has_high_ = inputs && ctx.has_input(2);
    if (!inputs) {
      if (ctx.attrs().Has("min")) low_ = static_cast<Wide>(ctx.attrs().Float("min"));
      if (ctx.attrs().Has("max")) high_ = static_cast<Wide>(ctx.attrs().Float("max"));
    }
    broadcast_ = Broadcast(ctx, Broadcast::Inputs(ctx, 1));
  }
  int64_t tiles() const override { return broadcast_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Wide low = has_low_ ? static_cast<Wide>(ctx.in<T>(1)[0]) : low_;
    const Wide high = has_high_ ? static_cast<Wide>(ctx.in<T>(2)[0]) : high_;
    T* dst = ctx.out<T>(0);
    broadcast_.ForEachRow(tile, [&](int64_t at, const auto& src, int64_t count) {
      const T* from = ctx.in<T>(0) + src[0];
      for (int64_t i = 0; i < count; ++i) {
        Wide x = static_cast<Wide>(from[i]);
        x = x < low ? low : x;
        dst[at + i] = static_cast<T>(x > high ? high : x);
      }
    });
  }

 private:
  static constexpr bool kReal = std::is_floating_point_v<Wide>;
  bool has_low_ = false, has_high_ = false;
  Wide low_ = kReal ? -std::numeric_limits<Wide>::infinity() : std::numeric_limits<Wide>::lowest();
  Wide high_ = kReal ? std::numeric_limits<Wide>::infinity() : std::numeric_limits<Wide>::max();
  Broadcast broadcast_;
};

void InferClip(InferContext& ctx) {
  CheckSameType(ctx);
  for (int i = 1; i < ctx.num_inputs(); ++i) {
    if (!ctx.has_input(i)) continue;
    for (const Dim& size : ctx.shape(i)) {
      if (size.known() && !size.is(1))
        ctx.Fail("limit " + std::to_string(i) + " is " + ToString(ctx.shape(i)) + ", expected a scalar");
    }
  }
  InferSameAsFirst(ctx);
}

const Definition kDefinitions[] = {
    Definition(Operator{.name = "Clip",
                        .versions = {1, 6},
                        .infer = InferClip,
                        .kernels = {&Make<TypedKernel<ClipKernel, NumericTypes>>},
                        .types = "float, double, float16"}),
    Definition(Operator{.name = "Clip",
                        .versions = {11, 12, 13},
                        .max_inputs = 3,
                        .infer = InferClip,
                        .kernels = {&Make<TypedKernel<ClipKernel, NumericTypes>>},
                        .types = "T"}),
};

}  // namespace
}  // namespace sluice
