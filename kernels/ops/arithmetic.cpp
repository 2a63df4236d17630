#include <algorithm>
#include <limits>

#include "kernels/ops/elementwise.h"
#include "kernels/ops/params.h"

// Functions of two numbers with broadcasting: Add, Sub, Mul, Div, Mod, Pow, BitShift, the bitwise and logical
// ones, comparisons, PRelu. Integers wrap around; an integer divided by zero is 0, its remainder too, so that
// bad data ends no process.
//
// Until opset 6 operands broadcast only with the attribute `broadcast`, the second one's axes lying along the
// first's from `axis` on; without `axis` they lie at its end.

namespace sluice {
namespace {

// The shape under which input 1 of an operator before opset 7 broadcasts as numpy has it.
template <typename Context, typename Shape>
Shape OldShape(const Context& ctx, const Shape& a, const Shape& b) {
  if (ctx.attrs().Int("broadcast", 0) == 0) return b;
  const auto rank = static_cast<int64_t>(a.size()), own = static_cast<int64_t>(b.size());
  const int64_t axis = ctx.attrs().Has("axis")
                           ? CheckedAxis(ctx, ctx.attrs().Int("axis"), std::max<int64_t>(rank, 1))
                           : rank - own;
  if (axis < 0 || axis + own > rank)
    ctx.Fail("input 1 has " + std::to_string(own) + " axes, which do not lie along the " +
             std::to_string(rank) + " of input 0 from axis " + std::to_string(axis) + " on");
  Shape shape(b);
  shape.resize(static_cast<size_t>(rank - axis), 1);
  return shape;
}

constexpr int kNumpyBroadcast = 7;

// Base of functors whose operators had the attribute `broadcast`.
struct OldBroadcast : NoAttributes {
  using NoAttributes::NoAttributes;
  static void Align(const PrepareContext& ctx, std::vector<Broadcast::Operand>& operands) {
    if (ctx.since_version() < kNumpyBroadcast)
      operands[1].shape = OldShape(ctx, operands[0].shape, operands[1].shape);
  }
};

// Pow as it was until opset 6; the operator since then is in pow.cpp.
struct OldPow : OldBroadcast {
  using OldBroadcast::OldBroadcast;
  template <typename T>
  T operator()(T a, T b) const {
    return std::pow(a, b);
  }
};

template <typename Out>
void InferBinary(InferContext& ctx) {
  CheckSameType(ctx);
  SymShape b = ctx.shape(1);
  if (ctx.since_version() < kNumpyBroadcast) b = OldShape(ctx, ctx.shape(0), b);
  DataType type = ctx.dtype(0);
  if constexpr (!std::is_void_v<Out>) type = kDataType<Out>;
  ctx.SetOutput(0, type, ctx.Broadcast(ctx.shape(0), b));
}

struct Add : OldBroadcast {
  using OldBroadcast::OldBroadcast;
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a + b;
    else
      return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
};

struct Sub : OldBroadcast {
  using OldBroadcast::OldBroadcast;
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a - b;
    else
      return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  }
};

struct Mul : OldBroadcast {
  using OldBroadcast::OldBroadcast;
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a * b;
    else
      return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
};

struct Div : OldBroadcast {
  using OldBroadcast::OldBroadcast;
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return a / b;
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>) {
        if (b == T(-1)) return static_cast<T>(0 - static_cast<uint64_t>(a));
      }
      return static_cast<T>(a / b);
    }
  }
};

// fmod = 0: the sign of the divisor, integers only; fmod = 1: the sign of the dividend.
struct Mod {
  explicit Mod(const PrepareContext& ctx) : fmod(ctx.attrs().Int("fmod", 0) != 0) {
    if (!fmod && Contains(FloatTypes(), ctx.dtype(0)))
      ctx.Fail("fmod is 0, expected 1 for elements of a float type");
  }
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fmod(a, b);
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>) {
        if (b == T(-1)) return 0;
        const T rest = static_cast<T>(a % b);
        return !fmod && rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
      } else {
        return static_cast<T>(a % b);
      }
    }
  }
  bool fmod;
};

struct BitShift {
  explicit BitShift(const PrepareContext& ctx) {
    const std::string& direction = ctx.attrs().String("direction");
    if (direction != "LEFT" && direction != "RIGHT")
      ctx.Fail("direction is '" + direction + "', expected LEFT or RIGHT");
    left = direction == "LEFT";
  }
  // All bits shifted out leave zeros, or copies of the sign; a negative number of bits does too.
  template <typename T>
  T operator()(T a, T b) const {
    constexpr auto kBits = static_cast<std::make_unsigned_t<T>>(8 * sizeof(T));
    const auto bits = static_cast<std::make_unsigned_t<T>>(b);
    if (bits >= kBits) return static_cast<T>(!left && a < 0 ? -1 : 0);
    return static_cast<T>(left ? static_cast<T>(static_cast<uint64_t>(a) << bits) : a >> bits);
  }
  bool left;
};

#define SLUICE_BINARY_FUNCTION(Name, Result, expression) \
  struct Name : OldBroadcast {                           \
    using OldBroadcast::OldBroadcast;                    \
    template <typename T>                                \
    Result operator()(T a, T b) const {                  \
      return expression;                                 \
    }                                                    \
  }
SLUICE_BINARY_FUNCTION(BitwiseAnd, T, static_cast<T>(a& b));
SLUICE_BINARY_FUNCTION(BitwiseOr, T, static_cast<T>(a | b));
SLUICE_BINARY_FUNCTION(BitwiseXor, T, static_cast<T>(a ^ b));
SLUICE_BINARY_FUNCTION(And, bool, a&& b);
SLUICE_BINARY_FUNCTION(Or, bool, a || b);
SLUICE_BINARY_FUNCTION(Xor, bool, a != b);
SLUICE_BINARY_FUNCTION(Equal, bool, a == b);
SLUICE_BINARY_FUNCTION(Greater, bool, a > b);
SLUICE_BINARY_FUNCTION(GreaterOrEqual, bool, a >= b);
SLUICE_BINARY_FUNCTION(Less, bool, a < b);
SLUICE_BINARY_FUNCTION(LessOrEqual, bool, a <= b);
#undef SLUICE_BINARY_FUNCTION

// y = x for x >= 0, slope x otherwise. The slope broadcasts to x; until opset 6 it has one element or one a
// channel, and exporters have kept that habit.
struct PRelu : NoAttributes {
  using NoAttributes::NoAttributes;
  static void Align(const PrepareContext& ctx, std::vector<Broadcast::Operand>& operands) {
    operands[1].shape = SlopeShape(ctx.since_version(), operands[0].shape, operands[1].shape);
  }
  template <typename Shape>
  static Shape SlopeShape(int since_version, const Shape& x, Shape slope) {
    if (since_version < kNumpyBroadcast && slope.size() == 1 && x.size() > 2) slope.resize(x.size() - 1, 1);
    return slope;
  }
  template <typename T>
  T operator()(T a, T slope) const {
    if constexpr (std::is_floating_point_v<T>)
      return a >= 0 ? a : a * slope;
    else
      return a >= T(0) ? a : static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(slope));
  }
};

void InferPRelu(InferContext& ctx) {
  CheckSameType(ctx);
  const SymShape slope = PRelu::SlopeShape(ctx.since_version(), ctx.shape(0), ctx.shape(1));
  const SymShape joined = ctx.Broadcast(ctx.shape(0), slope);
  for (size_t i = 0; i < joined.size(); ++i) {
    const bool grows = joined.size() > ctx.shape(0).size() || (joined[i].known() && ctx.shape(0)[i].known() &&
                                                               !ctx.shape(0)[i].is(joined[i].value()));
    if (grows)
      ctx.Fail("the slope " + ToString(ctx.shape(1)) + " does not broadcast to " + ToString(ctx.shape(0)));
  }
  ctx.SetOutput(0, ctx.dtype(0), ctx.shape(0));
}

template <typename Functor, typename Types, typename Out = void>
Operator BinaryOperator(std::string_view name, std::vector<int> versions, std::string_view types) {
  return {.name = name,
          .versions = std::move(versions),
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = InferBinary<Out>,
          .kernels = {&Make<ElementwiseKernel<Functor, Types, 2, Out>>},
          .types = types};
}

Operator PReluOperator() {
  Operator op =
      BinaryOperator<PRelu, TypeList<float, double, Half, BFloat16, int32_t, int64_t, uint32_t, uint64_t>>(
          "PRelu", {1, 6, 7, 9, 16}, "float, double, float16, bfloat16, int32, int64, uint32, uint64");
  op.infer = InferPRelu;
  return op;
}

using UnsignedTypes = TypeList<uint8_t, uint16_t, uint32_t, uint64_t>;
using ComparableTypes = TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t, int64_t, uint8_t,
                                 uint16_t, uint32_t, uint64_t, bool, std::string>;
constexpr std::string_view kNumbers = "T";

const Definition kDefinitions[] = {
    Definition(BinaryOperator<Add, NumericTypes>("Add", {1, 6, 7, 13, 14}, kNumbers)),
    Definition(BinaryOperator<Sub, NumericTypes>("Sub", {1, 6, 7, 13, 14}, kNumbers)),
    Definition(BinaryOperator<Mul, NumericTypes>("Mul", {1, 6, 7, 13, 14}, kNumbers)),
    Definition(BinaryOperator<Div, NumericTypes>("Div", {1, 6, 7, 13, 14}, kNumbers)),
    Definition(BinaryOperator<OldPow, FloatTypes>("Pow", {1}, "float, double, float16, bfloat16")),
    Definition(BinaryOperator<Mod, NumericTypes>("Mod", {10, 13}, kNumbers)),
    Definition(BinaryOperator<BitShift, UnsignedTypes>("BitShift", {11}, "unsigned integers")),
    Definition(BinaryOperator<BitShift, IntTypes>("BitShift", {28}, "integers")),
    Definition(BinaryOperator<BitwiseAnd, IntTypes>("BitwiseAnd", {18}, "integers")),
    Definition(BinaryOperator<BitwiseOr, IntTypes>("BitwiseOr", {18}, "integers")),
    Definition(BinaryOperator<BitwiseXor, IntTypes>("BitwiseXor", {18}, "integers")),
    Definition(BinaryOperator<And, TypeList<bool>, bool>("And", {1, 7}, "bool")),
    Definition(BinaryOperator<Or, TypeList<bool>, bool>("Or", {1, 7}, "bool")),
    Definition(BinaryOperator<Xor, TypeList<bool>, bool>("Xor", {1, 7}, "bool")),
    Definition(BinaryOperator<Equal, ComparableTypes, bool>("Equal", {1, 7, 11, 13, 19}, "T, bool, string")),
    Definition(BinaryOperator<Greater, NumericTypes, bool>("Greater", {1, 7, 9, 13}, kNumbers)),
    Definition(BinaryOperator<GreaterOrEqual, NumericTypes, bool>("GreaterOrEqual", {12, 16}, kNumbers)),
    Definition(BinaryOperator<Less, NumericTypes, bool>("Less", {1, 7, 9, 13}, kNumbers)),
    Definition(BinaryOperator<LessOrEqual, NumericTypes, bool>("LessOrEqual", {12, 16}, kNumbers)),
    Definition(PReluOperator()),
};

}  // namespace
}  // namespace sluice
