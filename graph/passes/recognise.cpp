#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/passes/activation.h"

namespace sluice {
namespace {

using Kind = PostOp::Kind;
using Fn = RealFunction::Fn;
using Line = RealFunction::Line;
using Ops = std::optional<std::vector<PostOp>>;

PostOp Make(Kind kind, double alpha = 0, double beta = 0) {
  return {kind, static_cast<float>(alpha), static_cast<float>(beta)};
}

class Recogniser {
 public:
  Recogniser(const RealFunction& f, double tolerance) : f_(f), tolerance_(tolerance) {}

  Ops Run() const {
    if (!f_.keeps_nan() || !f_.continuous()) return std::nullopt;
    switch (f_.num_pieces()) {
      case 1:
        return Smooth();
      case 2:
        return Kinked();
      case 3:
        return Clipped();
    }
    return std::nullopt;
  }

 private:
  bool Close(double a, double b) const {
    return a == b || std::abs(a - b) <= tolerance_ * std::max(std::abs(a), std::abs(b));
  }

  static Ops Then(PostOp op, double slope, double offset = 0) {
    std::vector<PostOp> ops = {op};
    if (slope != 1 || offset != 0) ops.push_back(Make(Kind::kLinear, slope, offset));
    return ops;
  }

  // A single formula everywhere.
  Ops Smooth() const {
    if (const auto line = f_.line(0)) {
      if (line->slope == 0) return std::nullopt;
      if (line->slope == 1 && line->offset == 0) return std::vector<PostOp>();
      return std::vector<PostOp>{Make(Kind::kLinear, line->slope, line->offset)};
    }
    const auto& terms = f_.piece(0).terms;
    if (terms.size() == 1) {
      const auto& [coefficient, power, atoms] = terms[0];
      if (power == 2 && atoms.empty()) return Then(Make(Kind::kSquare), coefficient);
      if (atoms.size() == 1 && atoms[0].power == 1) {
        const auto argument = LineOf(*atoms[0].argument);
        const bool of_x = argument && argument->slope == 1 && argument->offset == 0;
        if (power == 1 && atoms[0].fn == Fn::kSigmoid && argument && argument->offset == 0) {
          return Then(Make(Kind::kSilu, argument->slope), coefficient);
        }
        if (power == 0 && of_x && atoms[0].fn == Fn::kSigmoid) return Then(Make(Kind::kSigmoid), coefficient);
        if (power == 0 && of_x && atoms[0].fn == Fn::kTanh) return Then(Make(Kind::kTanh), coefficient);
        if (power == 0 && of_x && atoms[0].fn == Fn::kExp) return Then(Make(Kind::kExp), coefficient);
      }
    }
    static const RealFunction x = RealFunction::X();
    static const RealFunction mish =
        *RealFunction::Multiply(x, *RealFunction::Apply(Fn::kTanh, *RealFunction::Apply(Fn::kSoftplus, x)));
    static const RealFunction gelu = *RealFunction::Multiply(
        x.Scaled(0.5), RealFunction::Apply(Fn::kErf, x.Scaled(std::sqrt(0.5)))->Plus(1));
    static const RealFunction cubic =
        *RealFunction::Multiply(*RealFunction::Multiply(x, x), x.Scaled(0.044715));
    static const RealFunction gelu_tanh = *RealFunction::Multiply(
        x.Scaled(0.5),
        RealFunction::Apply(Fn::kTanh, RealFunction::Add(x, cubic)->Scaled(std::sqrt(2 / M_PI)))->Plus(1));
    if (f_.Equals(mish, tolerance_)) return Then(Make(Kind::kMish), 1);
    if (f_.Equals(gelu, tolerance_)) return Then(Make(Kind::kGeluErf), 1);
    if (f_.Equals(gelu_tanh, tolerance_)) return Then(Make(Kind::kGeluTanh), 1);
    return std::nullopt;
  }

  // Two formulas: LeakyRelu and its kin, bounds on one side, Elu.
  Ops Kinked() const {
    const double knot = f_.knots()[0];
    const auto left = f_.line(0), right = f_.line(1);
    if (left && right && knot == 0 && left->offset == 0 && right->offset == 0 && right->slope != 0) {
      const double alpha = left->slope / right->slope;
      if (alpha == 0) return Then(Make(Kind::kRelu), right->slope);
      if (Close(alpha, -1)) return Then(Make(Kind::kAbs), right->slope);
      return Then(Make(Kind::kLeakyRelu, alpha), Close(right->slope, 1) ? 1 : right->slope);
    }
    constexpr double kInf = std::numeric_limits<double>::infinity();
    if (left && right && left->slope == 0)
      return Then(Make(Kind::kClip, knot, kInf), right->slope, right->offset);
    if (left && right && right->slope == 0)
      return Then(Make(Kind::kClip, -kInf, knot), left->slope, left->offset);
    if (knot == 0 && right && right->slope == 1 && right->offset == 0) {
      for (const RealFunction::Term& term : f_.piece(0).terms) {
        if (term.power != 0 || !term.atoms.empty()) continue;
        const RealFunction x = RealFunction::X(), zero = RealFunction::Constant(0);
        const auto exponential = RealFunction::Apply(Fn::kExp, *RealFunction::Min(x, zero));
        const auto elu =
            RealFunction::Add(*RealFunction::Max(x, zero), exponential->Plus(-1).Scaled(-term.coefficient));
        if (elu && f_.Equals(*elu, tolerance_)) return Then(Make(Kind::kElu, -term.coefficient), 1);
      }
    }
    return std::nullopt;
  }

  // Three formulas: bounds on both sides, HardSwish.
  Ops Clipped() const {
    const double low = f_.knots()[0], high = f_.knots()[1];
    const auto left = f_.line(0), middle = f_.line(1), right = f_.line(2);
    if (!left || !right || left->slope != 0) return std::nullopt;
    if (middle && right->slope == 0) {
      if (left->offset == 0 && Close(right->offset, 1)) {
        return Then(Make(Kind::kHardSigmoid, middle->slope, middle->offset), 1);
      }
      return Then(Make(Kind::kClip, low, high), middle->slope, middle->offset);
    }
    if (left->offset != 0 || !Close(right->slope, 1) || right->offset != 0) return std::nullopt;
    double square = 0, slope = 0;
    for (const RealFunction::Term& term : f_.piece(1).terms) {
      if (!term.atoms.empty() || term.power < 1 || term.power > 2) return std::nullopt;
      (term.power == 2 ? square : slope) = term.coefficient;
    }
    if (square <= 0 || !Close(-slope / square, low) || !Close((1 - slope) / square, high))
      return std::nullopt;
    // Where float can tell 1/6 and 1/2 from what exporters write, they mean those.
    const bool standard = Close(square, 1.0 / 6) && Close(slope, 0.5);
    return Then(standard ? Make(Kind::kHardSwish, 1.0 / 6, 0.5) : Make(Kind::kHardSwish, square, slope), 1);
  }

  static std::optional<Line> LineOf(const RealFunction::Sum& sum) {
    Line line;
    for (const RealFunction::Term& term : sum.terms) {
      if (!term.atoms.empty() || term.power > 1) return std::nullopt;
      (term.power == 1 ? line.slope : line.offset) = term.coefficient;
    }
    return line;
  }

  const RealFunction& f_;
  double tolerance_;
};

}  // namespace

Ops RecogniseFunction(const RealFunction& f, double tolerance) { return Recogniser(f, tolerance).Run(); }

}  // namespace sluice
