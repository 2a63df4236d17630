// Operators that an older opset has no word for, written as what the standard defines them by.

#include <cmath>

#include "graph/opset/crossing.h"

namespace sluice {
namespace {

ValueId Mul(Crossing& c, ValueId a, ValueId b) { return c.build().Op("Mul", {a, b}); }
ValueId Times(Crossing& c, ValueId x, double factor) {
  return Mul(c, x, c.Scalar("factor", c.dtype(0), factor));
}
ValueId Plus(Crossing& c, ValueId x, double term) {
  return c.build().Op("Add", {x, c.Scalar("term", c.dtype(0), term)});
}

// x * min(max(x / 6 + 0.5, 0), 1)
void HardSwish(Crossing& c) {
  const ValueId gate = c.build().Op("HardSigmoid", {c.in(0)}, {{"alpha", 1.0f / 6}, {"beta", 0.5f}});
  c.Replace(Mul(c, c.in(0), gate));
}

// x * tanh(log(1 + exp(x)))
void Mish(Crossing& c) {
  c.Replace(Mul(c, c.in(0), c.build().Op("Tanh", {c.build().Op("Softplus", {c.in(0)})})));
}

// x * sigmoid(alpha x)
void Swish(Crossing& c) {
  const double alpha = static_cast<double>(c.attrs().Float("alpha", 1));
  const ValueId scaled = alpha == 1 ? c.in(0) : Times(c, c.in(0), alpha);
  c.Replace(Mul(c, c.in(0), c.build().Op("Sigmoid", {scaled})));
}

void Gelu(Crossing& c) {
  const ValueId x = c.in(0), half = Times(c, x, 0.5);
  if (c.attrs().String("approximate", "none") == "none") {
    const ValueId erf = c.build().Op("Erf", {Times(c, x, std::sqrt(0.5))});
    return c.Replace(Mul(c, half, Plus(c, erf, 1)));
  }
  const ValueId cube = Mul(c, Mul(c, x, x), x);
  const ValueId inner = Times(c, c.build().Op("Add", {x, Times(c, cube, 0.044715)}), std::sqrt(2 / M_PI));
  c.Replace(Mul(c, half, Plus(c, c.build().Op("Tanh", {inner}), 1)));
}

// alpha * elu(x / alpha)
void Celu(Crossing& c) {
  const double alpha = static_cast<double>(c.attrs().Float("alpha", 1));
  if (alpha == 1) return c.Replace(c.build().Op("Elu", {c.in(0)}));
  const ValueId inner = c.build().Op("Elu", {Times(c, c.in(0), 1 / alpha)});
  c.Replace(Times(c, inner, alpha));
}

// x > alpha ? x : 0. Version 1 is not part of the standard.
void ThresholdedRelu(Crossing& c) {
  const ValueId limit = c.Scalar("alpha", c.dtype(0), static_cast<double>(c.attrs().Float("alpha", 1)));
  const ValueId above = c.build().Op("Greater", {c.in(0), limit});
  c.Replace(c.build().Op("Where", {above, c.in(0), c.Scalar("zero", c.dtype(0), 0)}));
}

// NaN is neither above nor equal, so it is not enough to ask what is not below.
void OrEqual(Crossing& c) {
  const bool greater = c.node().op_type == "GreaterOrEqual";
  const DataType type = c.dtype(0);
  const bool floats = type == DataType::kFloat || type == DataType::kDouble || type == DataType::kFloat16;
  if (c.opset() >= 11) {
    const ValueId beyond = c.build().Op(greater ? "Greater" : "Less", {c.in(0), c.in(1)});
    const ValueId equal = c.build().Op("Equal", {c.in(0), c.in(1)});
    return c.Replace(c.build().Op("Or", {beyond, equal}));
  }
  if (floats || type == DataType::kUndefined) c.Fail("opsets before 11 do not compare floats for equality");
  c.Replace(c.build().Op("Not", {c.build().Op(greater ? "Less" : "Greater", {c.in(0), c.in(1)})}));
}

void CastLike(Crossing& c) {
  const DataType type = c.dtype(1);
  if (type == DataType::kUndefined) c.Fail("the element type of its second input is not known");
  c.Replace(c.build().Op("Cast", {c.in(0)}, {{"to", static_cast<int64_t>(type)}}));
}

// A part of the shape is a slice of all of it.
void PartOfShape(Crossing& c) {
  const bool begins = c.attrs().Int("start", 0) != 0, ends = c.attrs().Has("end");
  if (!begins && !ends) {
    c.attrs().Erase("start");
    return;
  }
  constexpr int64_t kEnd = INT32_MAX;
  const ValueId all = c.build().Op("Shape", {c.in(0)});
  c.Replace(c.build().Slice(all, {c.attrs().Int("start", 0)}, {c.attrs().Int("end", kEnd)}, {0}));
}

constexpr Adapter kAdapters[] = {
    {"HardSwish", 14, nullptr, HardSwish},
    {"Mish", 18, nullptr, Mish},
    {"Swish", 24, nullptr, Swish},
    {"Gelu", 20, nullptr, Gelu},
    {"Celu", 12, nullptr, Celu},
    {"ThresholdedRelu", 10, nullptr, ThresholdedRelu},
    {"GreaterOrEqual LessOrEqual", 12, nullptr, OrEqual},
    {"CastLike", 15, nullptr, CastLike},
    {"Shape", 15, nullptr, PartOfShape},
};

}  // namespace

std::span<const Adapter> FunctionAdapters() { return kAdapters; }

}  // namespace sluice
