#include <algorithm>

#include "kernels/ops/float_map.h"
#include "kernels/ops/params.h"

// Activations: functions of one number with attributes. Of the opset 1 versions `consumed_inputs` means
// nothing.

namespace sluice {
namespace {

template <typename T>
T Logistic(T x) {
  // exp of a negative number only: no overflow.
  const T e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

template <typename T>
T SoftplusOf(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

// A probability p in steps of 2^-25 (of float), as 0.5 + tanh(x / 2) / 2 has them: so sigmoid(-x) is 1 -
// sigmoid(x) to the bit, and saturated outputs agree with the runtimes that compute it so.
template <typename T>
T Grid(T p) {
  return (p - T(0.5)) + T(0.5);
}

// Keeps the attributes alpha and beta (gamma of Selu).
template <typename Traits>
struct WithAlphaBeta {
  explicit WithAlphaBeta(const PrepareContext& ctx)
      : alpha(ctx.attrs().Float("alpha", Traits::AlphaOf(ctx.since_version()))),
        beta(ctx.attrs().Float(Traits::kBeta, Traits::BetaOf(ctx.since_version()))) {}
  float alpha, beta;
};

struct Defaults {
  static constexpr const char* kBeta = "beta";
  static constexpr float AlphaOf(int) { return 1.0f; }
  static constexpr float BetaOf(int) { return 0.0f; }
};

// y = x for x >= 0, alpha x otherwise; NaN stays.
struct LeakyRelu : WithAlphaBeta<LeakyRelu> {
  static constexpr const char* kBeta = "beta";
  static constexpr float AlphaOf(int) { return 0.01f; }
  static constexpr float BetaOf(int) { return 0.0f; }
  using WithAlphaBeta::WithAlphaBeta;
  template <typename T>
  T operator()(T x) const {
    return x >= 0 ? x : static_cast<T>(alpha) * x;
  }
};

struct Relu : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    return x < T(0) ? T(0) : x;
  }
};

struct Elu : WithAlphaBeta<Defaults> {
  using WithAlphaBeta::WithAlphaBeta;
  template <typename T>
  T operator()(T x) const {
    return x < 0 ? static_cast<T>(alpha) * std::expm1(x) : x;
  }
};

// max(0, x) + min(0, alpha (exp(x / alpha) - 1)); NaN stays.
struct Celu : WithAlphaBeta<Defaults> {
  using WithAlphaBeta::WithAlphaBeta;
  template <typename T>
  T operator()(T x) const {
    const T a = static_cast<T>(alpha);
    return std::max(x, T(0)) + std::min(T(0), a * std::expm1(x / a));
  }
};

// gamma (alpha exp(x) - alpha) for x <= 0, gamma x otherwise. The first version has rounded defaults.
struct Selu : WithAlphaBeta<Selu> {
  static constexpr const char* kBeta = "gamma";
  static constexpr float AlphaOf(int version) { return version < 6 ? 1.6732f : 1.67326319217681884765625f; }
  static constexpr float BetaOf(int version) { return version < 6 ? 1.0507f : 1.05070102214813232421875f; }
  using WithAlphaBeta::WithAlphaBeta;
  template <typename T>
  T operator()(T x) const {
    return static_cast<T>(beta) * (x > 0 ? x : static_cast<T>(alpha) * std::expm1(x));
  }
};

struct ThresholdedRelu : WithAlphaBeta<Defaults> {
  using WithAlphaBeta::WithAlphaBeta;
  template <typename T>
  T operator()(T x) const {
    return x > static_cast<T>(alpha) ? x : T(0);
  }
};

struct Softplus : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    return SoftplusOf(x);
  }
};

struct Softsign : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    return x / (1 + std::abs(x));
  }
};

struct Sigmoid : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    return Grid(Logistic(x));
  }
};

struct HardSigmoid : WithAlphaBeta<HardSigmoid> {
  static constexpr const char* kBeta = "beta";
  static constexpr float AlphaOf(int) { return 0.2f; }
  static constexpr float BetaOf(int) { return 0.5f; }
  using WithAlphaBeta::WithAlphaBeta;
  template <typename T>
  T operator()(T x) const {
    return std::max(T(0), std::min(T(1), static_cast<T>(alpha) * x + static_cast<T>(beta)));
  }
};

struct HardSwish : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    return x * std::max(T(0), std::min(T(1), x / T(6) + T(0.5)));
  }
  float alpha = 1.0f / 6, beta = 0.5f;  // of the post-op
};

// x sigmoid(alpha x)
struct Swish : WithAlphaBeta<Defaults> {
  using WithAlphaBeta::WithAlphaBeta;
  template <typename T>
  T operator()(T x) const {
    return x * Logistic(static_cast<T>(alpha) * x);
  }
};

// a sigmoid(alpha a) b
struct SwiGlu : WithAlphaBeta<Defaults> {
  using WithAlphaBeta::WithAlphaBeta;
  template <typename T>
  T operator()(T a, T b) const {
    return a * Logistic(static_cast<T>(alpha) * a) * b;
  }
};

struct Mish : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    return x * std::tanh(SoftplusOf(x));
  }
};

struct Gelu {
  explicit Gelu(const PrepareContext& ctx) {
    const std::string form = ctx.attrs().String("approximate", "none");
    if (form != "none" && form != "tanh") ctx.Fail("approximate is '" + form + "', expected none or tanh");
    tanh = form == "tanh";
  }
  template <typename T>
  T operator()(T x) const {
    if (!tanh) return x / 2 * (1 + std::erf(x * T(0.70710678118654752)));
    return x / 2 * (1 + std::tanh(T(0.79788456080286536) * (x + T(0.044715) * x * x * x)));
  }
  bool tanh;
};

// x + bias for x < -lambd, x - bias for x > lambd, 0 between.
struct Shrink {
  explicit Shrink(const PrepareContext& ctx)
      : bias(ctx.attrs().Float("bias", 0.0f)), lambd(ctx.attrs().Float("lambd", 0.5f)) {}
  template <typename T>
  T operator()(T x) const {
    using Wide = std::conditional_t<std::is_floating_point_v<T>, T, double>;
    const Wide value = static_cast<Wide>(x);
    const Wide result = value < -static_cast<Wide>(lambd)  ? value + static_cast<Wide>(bias)
                        : value > static_cast<Wide>(lambd) ? value - static_cast<Wide>(bias)
                                                           : Wide(0);
    return static_cast<T>(result);
  }
  float bias, lambd;
};

constexpr std::string_view kFloats = "float, double, float16, bfloat16";

const Definition kDefinitions[] = {
    Definition(FloatMapOperator<PostOp::Kind::kLeakyRelu, LeakyRelu, FloatTypes>("LeakyRelu", {1, 6, 16}, kFloats)),
    Definition(FloatMapOperator<PostOp::Kind::kRelu, Relu, NumericTypes>("Relu", {1, 6, 13, 14}, "T")),
    Definition(FloatMapOperator<PostOp::Kind::kElu, Elu, FloatTypes>("Elu", {1, 6, 22}, kFloats)),
    Definition(UnaryOperator<Celu, FloatTypes>("Celu", {12, 28}, kFloats)),
    Definition(UnaryOperator<Selu, FloatTypes>("Selu", {1, 6, 22}, kFloats)),
    Definition(UnaryOperator<ThresholdedRelu, FloatTypes>("ThresholdedRelu", {1, 10, 22}, kFloats)),
    Definition(UnaryOperator<Softplus, FloatTypes>("Softplus", {1, 22}, kFloats)),
    Definition(UnaryOperator<Softsign, FloatTypes>("Softsign", {1, 22}, kFloats)),
    Definition(FloatMapOperator<PostOp::Kind::kSigmoid, Sigmoid, FloatTypes>("Sigmoid", {1, 6, 13}, kFloats)),
    Definition(FloatMapOperator<PostOp::Kind::kHardSigmoid, HardSigmoid, FloatTypes>("HardSigmoid", {1, 6, 22}, kFloats)),
    Definition(FloatMapOperator<PostOp::Kind::kHardSwish, HardSwish, FloatTypes>("HardSwish", {14, 22}, kFloats)),
    Definition(FloatMapOperator<PostOp::Kind::kSilu, Swish, FloatTypes>("Swish", {24}, kFloats)),
    Definition(Operator{.name = "SwiGLU",
                        .versions = {28},
                        .min_inputs = 2,
                        .max_inputs = 2,
                        .infer =
                            [](InferContext& ctx) {
                              CheckSameType(ctx);
                              InferBroadcast(ctx);
                            },
                        .kernels = {&Make<ElementwiseKernel<SwiGlu, FloatTypes, 2>>},
                        .types = kFloats}),
    Definition(FloatMapOperator<PostOp::Kind::kMish, Mish, FloatTypes>("Mish", {18, 22}, kFloats)),
    Definition(FloatMapOperator<PostOp::Kind::kGeluErf, Gelu, FloatTypes>("Gelu", {20}, kFloats)),
    Definition(UnaryOperator<Shrink, NumericTypes>("Shrink", {9}, "T")),
};

}  // namespace
}  // namespace sluice
