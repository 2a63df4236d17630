#include "graph/gradient_rules.h"

#include <cmath>
#include <map>
#include <set>

#include "sluice/error.h"

// The derivatives of operators, element by element unless said otherwise; g is that of the output.

namespace sluice {

ValueId StepBack::Number(float value, ValueId like) const {
  return build.Op("CastLike", {build.Scalar("number", value), like});
}

ValueId StepBack::SumTo(ValueId grad, ValueId x) const {
  // Follows from the shapes alone, so that planning does it: axes in which x, with sizes of 1 before its own,
  // differs.
  const ValueId x_shape = build.Op("Shape", {x}), shape = build.Op("Shape", {grad});
  const ValueId missing = build.Op("Sub", {build.Op("Shape", {shape}), build.Op("Shape", {x_shape})});
  const ValueId ones = build.Op("ConstantOfShape", {missing},
                                {{"value", Tensor::From<int64_t>({1}, std::vector<int64_t>{1})}});
  const ValueId same = build.Op("Equal", {build.Concat({ones, x_shape}, 0), shape});
  const ValueId axes = build.Op("NonZero", {build.Op("Not", {same})});
  const ValueId sum =
      build.Op("ReduceSum", {grad, build.Squeeze(axes, {0})}, {{"noop_with_empty_axes", int64_t{1}}});
  return build.Op("Reshape", {sum, x_shape}, {{"allowzero", int64_t{1}}});
}

ValueId StepBack::Turned(ValueId matrices) const {
  return build.Op("Einsum", {matrices}, {{"equation", std::string("...ij->...ji")}});
}

namespace {

// An operator of one input whose derivative `factor` gives: g times it.
template <ValueId (*factor)(StepBack&)>
void Scaled(StepBack& s) {
  s.results[0] = s.build.Op("Mul", {s.g(), factor(s)});
}

// g where the condition holds, g times `slope` elsewhere.
ValueId Gated(StepBack& s, ValueId condition, float slope) {
  const ValueId other = slope == 0 ? s.Number(0, s.g()) : s.build.Op("Mul", {s.g(), s.Number(slope, s.g())});
  return s.build.Op("Where", {condition, s.g(), other});
}

void Same(StepBack& s) { s.results[0] = s.g(); }
void Neg(StepBack& s) { s.results[0] = s.build.Op("Neg", {s.g()}); }

void Sum(StepBack& s) {
  for (size_t i = 0; i < s.inputs.size(); ++i) s.results[i] = s.SumTo(s.g(), s.x(i));
}
void Sub(StepBack& s) {
  s.results[0] = s.SumTo(s.g(), s.x(0));
  s.results[1] = s.SumTo(s.build.Op("Neg", {s.g()}), s.x(1));
}
void Mul(StepBack& s) {
  s.results[0] = s.SumTo(s.build.Op("Mul", {s.g(), s.x(1)}), s.x(0));
  s.results[1] = s.SumTo(s.build.Op("Mul", {s.g(), s.x(0)}), s.x(1));
}
// a / b: g / b and -g y / b.
void Div(StepBack& s) {
  const ValueId by_a = s.build.Op("Div", {s.g(), s.x(1)});
  s.results[0] = s.SumTo(by_a, s.x(0));
  s.results[1] = s.SumTo(s.build.Op("Neg", {s.build.Op("Mul", {by_a, s.y()})}), s.x(1));
}
// a^b: g b a^(b - 1) and g y log(a).
void Pow(StepBack& s) {
  const ValueId exponent = s.build.Op("CastLike", {s.x(1), s.x(0)});
  const ValueId less = s.build.Op("Sub", {exponent, s.Number(1, s.x(0))});
  const ValueId slope = s.build.Op("Mul", {exponent, s.build.Op("Pow", {s.x(0), less})});
  s.results[0] = s.SumTo(s.build.Op("Mul", {s.g(), slope}), s.x(0));
  const ValueId by_b = s.build.Op("Mul", {s.build.Op("Mul", {s.g(), s.y()}), s.build.Op("Log", {s.x(0)})});
  s.results[1] = s.SumTo(s.build.Op("CastLike", {by_b, s.x(1)}), s.x(1));
}
// The first of equal inputs counts.
void MaxOrMin(StepBack& s, const char* first_wins) {
  if (s.inputs.size() != 2)
    throw Error(ErrorCode::kUnsupported, Describe(s.node) + ": the derivative of other than two inputs");
  const ValueId first = s.build.Op(first_wins, {s.x(0), s.x(1)}), zero = s.Number(0, s.g());
  s.results[0] = s.SumTo(s.build.Op("Where", {first, s.g(), zero}), s.x(0));
  s.results[1] = s.SumTo(s.build.Op("Where", {first, zero, s.g()}), s.x(1));
}
void Max(StepBack& s) { MaxOrMin(s, "GreaterOrEqual"); }
void Min(StepBack& s) { MaxOrMin(s, "LessOrEqual"); }
void Where(StepBack& s) {
  const ValueId zero = s.Number(0, s.g());
  s.results[1] = s.SumTo(s.build.Op("Where", {s.x(0), s.g(), zero}), s.x(1));
  s.results[2] = s.SumTo(s.build.Op("Where", {s.x(0), zero, s.g()}), s.x(2));
}

ValueId Positive(StepBack& s) { return s.build.Op("Greater", {s.x(), s.Number(0, s.x())}); }
void Relu(StepBack& s) { s.results[0] = Gated(s, Positive(s), 0); }
void LeakyRelu(StepBack& s) { s.results[0] = Gated(s, Positive(s), s.node.attrs.Float("alpha", 0.01f)); }
ValueId OneLess(StepBack& s, ValueId value) { return s.build.Op("Sub", {s.Number(1, value), value}); }
ValueId SigmoidSlope(StepBack& s) { return s.build.Op("Mul", {s.y(), OneLess(s, s.y())}); }
ValueId TanhSlope(StepBack& s) { return OneLess(s, s.build.Op("Mul", {s.y(), s.y()})); }
ValueId ExpSlope(StepBack& s) { return s.y(); }
ValueId LogSlope(StepBack& s) { return s.build.Op("Reciprocal", {s.x()}); }
ValueId SqrtSlope(StepBack& s) { return s.build.Op("Div", {s.Number(0.5f, s.y()), s.y()}); }
ValueId ReciprocalSlope(StepBack& s) { return s.build.Op("Neg", {s.build.Op("Mul", {s.y(), s.y()})}); }
ValueId AbsSlope(StepBack& s) { return s.build.Op("Sign", {s.x()}); }
ValueId SinSlope(StepBack& s) { return s.build.Op("Cos", {s.x()}); }
ValueId CosSlope(StepBack& s) { return s.build.Op("Neg", {s.build.Op("Sin", {s.x()})}); }
ValueId SoftplusSlope(StepBack& s) { return s.build.Op("Sigmoid", {s.x()}); }
// 2 / sqrt(pi) exp(-x^2).
ValueId ErfSlope(StepBack& s) {
  const ValueId bell = s.build.Op("Exp", {s.build.Op("Neg", {s.build.Op("Mul", {s.x(), s.x()})})});
  return s.build.Op("Mul", {bell, s.Number(static_cast<float>(2 / std::sqrt(M_PI)), s.x())});
}

// a b: g b' and a' g, summed over the matrices that broadcasting has repeated.
void MatMul(StepBack& s) {
  s.results[0] = s.SumTo(s.build.Op("MatMul", {s.g(), s.Turned(s.x(1))}), s.x(0));
  s.results[1] = s.SumTo(s.build.Op("MatMul", {s.Turned(s.x(0)), s.g()}), s.x(1));
}
// alpha A B + beta C, A and B turned around if the node says so.
void Gemm(StepBack& s) {
  const bool turn_a = s.node.attrs.Int("transA", 0) != 0, turn_b = s.node.attrs.Int("transB", 0) != 0;
  const ValueId g = s.build.Op("Mul", {s.g(), s.Number(s.node.attrs.Float("alpha", 1), s.g())});
  const ValueId a = turn_a ? s.Turned(s.x(0)) : s.x(0), b = turn_b ? s.Turned(s.x(1)) : s.x(1);
  const ValueId by_a = s.build.Op("MatMul", {g, s.Turned(b)}), by_b = s.build.Op("MatMul", {s.Turned(a), g});
  s.results[0] = turn_a ? s.Turned(by_a) : by_a;
  s.results[1] = turn_b ? s.Turned(by_b) : by_b;
  if (!s.has_input(2)) return;
  const ValueId by_c = s.build.Op("Mul", {s.g(), s.Number(s.node.attrs.Float("beta", 1), s.g())});
  s.results[2] = s.SumTo(by_c, s.x(2));
}

// The same elements in another shape.
void Reshaped(StepBack& s) {
  s.results[0] = s.build.Op("Reshape", {s.g(), s.build.Op("Shape", {s.x()})}, {{"allowzero", int64_t{1}}});
}
void Transpose(StepBack& s) {
  GraphBuilder::Attrs attrs;
  if (s.node.attrs.Has("perm")) {
    const std::vector<int64_t>& perm = s.node.attrs.Ints("perm");
    std::vector<int64_t> back(perm.size());
    for (size_t i = 0; i < perm.size(); ++i) back.at(static_cast<size_t>(perm[i])) = static_cast<int64_t>(i);
    attrs.emplace_back("perm", back);
  }
  s.results[0] = s.build.Op("Transpose", {s.g()}, attrs);
}
void Expand(StepBack& s) { s.results[0] = s.SumTo(s.g(), s.x()); }
void Concat(StepBack& s) {
  const int64_t axis = s.node.attrs.Int("axis", 1);
  std::vector<ValueId> sizes;
  for (ValueId x : s.inputs)
    sizes.push_back(s.build.Op("Gather", {s.build.Op("Shape", {x}), s.build.Ints("axis", {axis})}));
  s.results = s.build.Ops("Split", {s.g(), s.build.Concat(sizes, 0)}, static_cast<int>(sizes.size()),
                          {{"axis", axis}});
}

// The sum's derivative is g for all that it sums.
void ReduceSum(StepBack& s) {
  ValueId g = s.g();
  ValueId axes = s.has_input(1) ? s.x(1) : ValueId::kNone;
  if (s.node.attrs.Has("axes")) axes = s.build.Ints("axes", s.node.attrs.Ints("axes"));
  if (s.node.attrs.Int("keepdims", 1) == 0 && axes != ValueId::kNone) g = s.build.Op("Unsqueeze", {g, axes});
  s.results[0] = s.build.Op("Expand", {g, s.build.Op("Shape", {s.x()})});
}
// Less by the number of elements in a mean.
void ReduceMean(StepBack& s) {
  ReduceSum(s);
  const ValueId count = s.build.Op("Div", {s.build.Op("Size", {s.x()}), s.build.Op("Size", {s.y()})});
  s.results[0] = s.build.Op("Div", {s.results[0], s.build.Op("CastLike", {count, s.g()})});
}
void GlobalAveragePool(StepBack& s) { ReduceMean(s); }

// y (g - sum(g y)), and for the logarithm g - exp(y) sum(g); sums along the axis.
void SoftmaxOrLog(StepBack& s, bool log) {
  if (s.node.since_version < 13)
    throw Error(ErrorCode::kUnsupported, Describe(s.node) + ": its derivative, before opset 13");
  const std::vector<int64_t> axis = {s.node.attrs.Int("axis", -1)};
  const auto sum = [&](ValueId value) {
    return s.build.Op("ReduceSum", {value, s.build.Ints("axis", axis)});
  };
  if (log) {
    s.results[0] = s.build.Op("Sub", {s.g(), s.build.Op("Mul", {s.build.Op("Exp", {s.y()}), sum(s.g())})});
  } else {
    const ValueId weighed = s.build.Op("Mul", {s.g(), s.y()});
    s.results[0] = s.build.Op("Mul", {s.y(), s.build.Op("Sub", {s.g(), sum(weighed)})});
  }
}
void Softmax(StepBack& s) { SoftmaxOrLog(s, false); }
void LogSoftmax(StepBack& s) { SoftmaxOrLog(s, true); }

void Cast(StepBack& s) { s.results[0] = s.build.Op("CastLike", {s.g(), s.x()}); }

const std::map<std::string_view, GradientRule>& Rules() {
  static const std::map<std::string_view, GradientRule> rules = {
      {"Abs", Scaled<AbsSlope>},
      {"Add", Sum},
      {"Cast", Cast},
      {"CastLike", Cast},
      {"Concat", Concat},
      {"Cos", Scaled<CosSlope>},
      {"Div", Div},
      {"Erf", Scaled<ErfSlope>},
      {"Exp", Scaled<ExpSlope>},
      {"Expand", Expand},
      {"Flatten", Reshaped},
      {"Gemm", Gemm},
      {"GlobalAveragePool", GlobalAveragePool},
      {"Identity", Same},
      {"LeakyRelu", LeakyRelu},
      {"Log", Scaled<LogSlope>},
      {"LogSoftmax", LogSoftmax},
      {"MatMul", MatMul},
      {"Max", Max},
      {"Min", Min},
      {"Mul", Mul},
      {"Neg", Neg},
      {"Pow", Pow},
      {"Reciprocal", Scaled<ReciprocalSlope>},
      {"ReduceMean", ReduceMean},
      {"ReduceSum", ReduceSum},
      {"Relu", Relu},
      {"Reshape", Reshaped},
      {"Sigmoid", Scaled<SigmoidSlope>},
      {"Sin", Scaled<SinSlope>},
      {"Softmax", Softmax},
      {"Softplus", Scaled<SoftplusSlope>},
      {"Sqrt", Scaled<SqrtSlope>},
      {"Squeeze", Reshaped},
      {"Sub", Sub},
      {"Sum", Sum},
      {"Tanh", Scaled<TanhSlope>},
      {"Transpose", Transpose},
      {"Unsqueeze", Reshaped},
      {"Where", Where},
  };
  return rules;
}

}  // namespace

GradientRule FindGradientRule(std::string_view op_type) {
  const auto found = Rules().find(op_type);
  return found == Rules().end() ? nullptr : found->second;
}

bool IsLocallyConstant(std::string_view op_type) {
  static const std::set<std::string_view> names = {
      "And",   "ArgMax",  "ArgMin", "Ceil",        "ConstantOfShape",
      "Equal", "EyeLike", "Floor",  "Greater",     "GreaterOrEqual",
      "IsInf", "IsNaN",   "Less",   "LessOrEqual", "NonZero",
      "Not",   "Or",      "OneHot", "Range",       "Round",
      "Shape", "Sign",    "Size",   "Xor"};
  return names.count(op_type) != 0;
}

}  // namespace sluice
