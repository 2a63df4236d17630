#include <bit>
#include <limits>

#include "kernels/ops/float_map.h"

// Functions of one number without attributes: Abs, Neg, Sign, Ceil, Floor, Round, Sqrt, Reciprocal, Exp, Log,
// Erf, the trigonometric and hyperbolic ones, IsNaN, Not, BitwiseNot. Integers wrap around.

namespace sluice {
namespace {

#define SLUICE_FLOAT_FUNCTION(Name, expression) \
  struct Name : NoAttributes {                  \
    using NoAttributes::NoAttributes;           \
    template <typename T>                       \
    T operator()(T x) const {                   \
      return expression;                        \
    }                                           \
  }
SLUICE_FLOAT_FUNCTION(Ceil, std::ceil(x));
SLUICE_FLOAT_FUNCTION(Floor, std::floor(x));
SLUICE_FLOAT_FUNCTION(Round, std::nearbyint(x));  // halves to even
SLUICE_FLOAT_FUNCTION(Sqrt, std::sqrt(x));
SLUICE_FLOAT_FUNCTION(Reciprocal, T(1) / x);
SLUICE_FLOAT_FUNCTION(Exp, std::exp(x));
SLUICE_FLOAT_FUNCTION(Log, std::log(x));
SLUICE_FLOAT_FUNCTION(Sin, std::sin(x));
SLUICE_FLOAT_FUNCTION(Cos, std::cos(x));
SLUICE_FLOAT_FUNCTION(Tan, std::tan(x));
SLUICE_FLOAT_FUNCTION(Asin, std::asin(x));
SLUICE_FLOAT_FUNCTION(Acos, std::acos(x));
SLUICE_FLOAT_FUNCTION(Atan, std::atan(x));
SLUICE_FLOAT_FUNCTION(Sinh, std::sinh(x));
SLUICE_FLOAT_FUNCTION(Cosh, std::cosh(x));
SLUICE_FLOAT_FUNCTION(Tanh, std::tanh(x));
SLUICE_FLOAT_FUNCTION(Asinh, std::asinh(x));
SLUICE_FLOAT_FUNCTION(Acosh, std::acosh(x));
SLUICE_FLOAT_FUNCTION(Atanh, std::atanh(x));
#undef SLUICE_FLOAT_FUNCTION

struct Abs : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return std::abs(x);
    else if constexpr (std::is_signed_v<T>)
      return x < 0 ? static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(x)) : x;
    else
      return x;
  }
};

struct Neg : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return -x;
    else
      return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(x));
  }
};

struct Sign : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(x)) return x;
    }
    return static_cast<T>(static_cast<int>(x > T(0)) - static_cast<int>(x < T(0)));
  }
};

struct Erf : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    return static_cast<T>(
        std::erf(static_cast<std::conditional_t<std::is_floating_point_v<T>, T, double>>(x)));
  }
};

struct IsNaN : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  bool operator()(T x) const {
    return std::isnan(x);
  }
};

struct IsInf {
  explicit IsInf(const PrepareContext& ctx)
      : negative(ctx.attrs().Int("detect_negative", 1) != 0),
        positive(ctx.attrs().Int("detect_positive", 1) != 0) {}
  template <typename T>
  bool operator()(T x) const {
    return std::isinf(x) && (x < 0 ? negative : positive);
  }
  bool negative, positive;
};

struct Not : NoAttributes {
  using NoAttributes::NoAttributes;
  bool operator()(bool x) const { return !x; }
};

struct BitwiseNot : NoAttributes {
  using NoAttributes::NoAttributes;
  template <typename T>
  T operator()(T x) const {
    return static_cast<T>(~x);
  }
};

constexpr std::string_view kFloats = "float, double, float16, bfloat16", kNumbers = "T";

const Definition kDefinitions[] = {
    Definition(UnaryOperator<Abs, NumericTypes>("Abs", {1, 6, 13}, kNumbers)),
    Definition(UnaryOperator<Neg, SignedTypes>(
        "Neg", {1, 6, 13}, "float, double, float16, bfloat16, int8, int16, int32, int64")),
    Definition(UnaryOperator<Sign, NumericTypes>("Sign", {9, 13}, kNumbers)),
    Definition(UnaryOperator<Erf, NumericTypes>("Erf", {9, 13}, kNumbers)),
    Definition(UnaryOperator<Ceil, FloatTypes>("Ceil", {1, 6, 13}, kFloats)),
    Definition(UnaryOperator<Floor, FloatTypes>("Floor", {1, 6, 13}, kFloats)),
    Definition(UnaryOperator<Round, FloatTypes>("Round", {11, 22}, kFloats)),
    Definition(UnaryOperator<Sqrt, FloatTypes>("Sqrt", {1, 6, 13}, kFloats)),
    Definition(UnaryOperator<Reciprocal, FloatTypes>("Reciprocal", {1, 6, 13}, kFloats)),
    Definition(FloatMapOperator<PostOp::Kind::kExp, Exp, FloatTypes>("Exp", {1, 6, 13}, kFloats)),
    Definition(UnaryOperator<Log, FloatTypes>("Log", {1, 6, 13}, kFloats)),
    Definition(UnaryOperator<Sin, FloatTypes>("Sin", {7, 22}, kFloats)),
    Definition(UnaryOperator<Cos, FloatTypes>("Cos", {7, 22}, kFloats)),
    Definition(UnaryOperator<Tan, FloatTypes>("Tan", {7, 22}, kFloats)),
    Definition(UnaryOperator<Asin, FloatTypes>("Asin", {7, 22}, kFloats)),
    Definition(UnaryOperator<Acos, FloatTypes>("Acos", {7, 22}, kFloats)),
    Definition(UnaryOperator<Atan, FloatTypes>("Atan", {7, 22}, kFloats)),
    Definition(UnaryOperator<Sinh, FloatTypes>("Sinh", {9, 22}, kFloats)),
    Definition(UnaryOperator<Cosh, FloatTypes>("Cosh", {9, 22}, kFloats)),
    Definition(FloatMapOperator<PostOp::Kind::kTanh, Tanh, FloatTypes>("Tanh", {1, 6, 13}, kFloats)),
    Definition(UnaryOperator<Asinh, FloatTypes>("Asinh", {9, 22}, kFloats)),
    Definition(UnaryOperator<Acosh, FloatTypes>("Acosh", {9, 22}, kFloats)),
    Definition(UnaryOperator<Atanh, FloatTypes>("Atanh", {9, 22}, kFloats)),
    Definition(UnaryOperator<IsNaN, FloatTypes, bool>("IsNaN", {9, 13, 20}, kFloats)),
    Definition(UnaryOperator<IsInf, FloatTypes, bool>("IsInf", {10, 20}, kFloats)),
    Definition(UnaryOperator<Not, TypeList<bool>>("Not", {1}, "bool")),
    Definition(UnaryOperator<BitwiseNot, IntTypes>("BitwiseNot", {18}, "integers")),
};

}  // namespace
}  // namespace sluice
