#include "kernels/forwarding_kernel.h"
#include "kernels/ops/elementwise.h"
#include "kernels/saturate.h"

// Pow (7, 12, 13, 15; 1 is in arithmetic.cpp): the base's type is the result's; the exponent may have
// another. Integers are raised by multiplication and wrap around; a negative power of one is that of its
// reciprocal, without the fraction. A power of an integer that is computed as a float and does not fit
// becomes the nearest limit.

namespace sluice {
namespace {

template <typename T>
T IntegerPower(T base, int64_t exponent) {
  if (exponent < 0)
    return base == 1                              ? T(1)
           : base == T(-1) && std::is_signed_v<T> ? (exponent % 2 == 0 ? T(1) : T(-1))
                                                  : T(0);
  uint64_t result = 1, factor = static_cast<uint64_t>(base);
  for (auto rest = static_cast<uint64_t>(exponent); rest != 0; rest >>= 1, factor *= factor) {
    if (rest & 1) result *= factor;
  }
  return static_cast<T>(result);
}

template <typename T, typename E>
T Power(T base, E exponent) {
  if constexpr (std::is_integral_v<T> && std::is_integral_v<E>) {
    return IntegerPower(base, static_cast<int64_t>(exponent));
  } else if constexpr (std::is_integral_v<T>) {
    return Saturated<T>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  } else {
    if (exponent == E(2)) return base * base;
    return static_cast<T>(std::pow(base, static_cast<T>(exponent)));
  }
}

template <typename T, typename E>
class PowKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override { broadcast_ = Broadcast(ctx, Broadcast::Inputs(ctx, 2)); }
  int64_t tiles() const override { return broadcast_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const T* base = ctx.in<T>(0);
    const E* exponent = ctx.in<E>(1);
    T* dst = ctx.out<T>(0);
    broadcast_.ForEachRow(tile, [&](int64_t at, const auto& src, int64_t count) {
      // One loop for all steps: there are many pairs of types, and the power takes longer than the step.
      const Stream<2, T> a{base + src[0], broadcast_.step(0)};
      const Stream<2, E> b{exponent + src[1], broadcast_.step(1)};
      for (int64_t i = 0; i < count; ++i) dst[at + i] = static_cast<T>(Power(a[i], b[i]));
    });
  }

 private:
  Broadcast broadcast_;
};

class AnyPowKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    bool known = false;
    Dispatch(NumericTypes(), ctx.dtype(0), [&](auto base) {
      known = Dispatch(NumericTypes(), ctx.dtype(1), [&](auto exponent) {
        impl_ =
            std::make_unique<PowKernel<typename decltype(base)::type, typename decltype(exponent)::type>>();
      });
    });
    if (!known) {
      ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))) + " to the power of " +
                      std::string(DataTypeName(ctx.dtype(1))));
    }
    impl_->Prepare(ctx);
  }
};

const Definition kDefinition(Operator{
    .name = "Pow",
    .versions = {7, 12, 13, 15},
    .min_inputs = 2,
    .max_inputs = 2,
    .infer =
        [](InferContext& ctx) { ctx.SetOutput(0, ctx.dtype(0), ctx.Broadcast(ctx.shape(0), ctx.shape(1))); },
    .kernels = {&Make<AnyPowKernel>},
    .types = "T"});

}  // namespace
}  // namespace sluice
