#include "graph/passes/real_function.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

using Sum = RealFunction::Sum;
using Term = RealFunction::Term;
using Atom = RealFunction::Atom;
using Fn = RealFunction::Fn;

// Numbers in models are floats: what differs by less is the same number computed in another way.
constexpr double kSame = 1e-6;
// Activations have up to 4 terms, 3 knots and degree 4.
constexpr size_t kMaxTerms = 12;
constexpr size_t kMaxKnots = 8;
constexpr int kMaxPower = 6;

bool Close(double a, double b, double tolerance = kSame) {
  return a == b || std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

bool EqualSums(const Sum& a, const Sum& b, double tolerance);

bool EqualAtoms(const Atom& a, const Atom& b, double tolerance) {
  return a.fn == b.fn && a.power == b.power && EqualSums(*a.argument, *b.argument, tolerance);
}

// But for the coefficient.
bool EqualMonomials(const Term& a, const Term& b, double tolerance) {
  return a.power == b.power && a.atoms.size() == b.atoms.size() &&
         std::is_permutation(a.atoms.begin(), a.atoms.end(), b.atoms.begin(),
                             [=](const Atom& x, const Atom& y) { return EqualAtoms(x, y, tolerance); });
}

bool EqualSums(const Sum& a, const Sum& b, double tolerance) {
  return a.terms.size() == b.terms.size() &&
         std::is_permutation(
             a.terms.begin(), a.terms.end(), b.terms.begin(), [=](const Term& x, const Term& y) {
               return Close(x.coefficient, y.coefficient, tolerance) && EqualMonomials(x, y, tolerance);
             });
}

void AddTerm(Sum& sum, const Term& term) {
  if (term.coefficient == 0) return;
  for (size_t i = 0; i < sum.terms.size(); ++i) {
    Term& known = sum.terms[i];
    if (!EqualMonomials(known, term, kSame)) continue;
    const double total = known.coefficient + term.coefficient;
    if (std::abs(total) <= kSame * std::abs(term.coefficient))
      sum.terms.erase(sum.terms.begin() + static_cast<long>(i));
    else
      known.coefficient = total;
    return;
  }
  sum.terms.push_back(term);
}

Sum AddSums(Sum a, const Sum& b, double factor = 1) {
  for (Term term : b.terms) {
    term.coefficient *= factor;
    AddTerm(a, term);
  }
  return a;
}

Sum ConstantSum(double value) { return value == 0 ? Sum() : Sum{{Term{value, 0, {}}}}; }

Term MultiplyTerms(const Term& a, const Term& b) {
  Term product = a;
  product.coefficient *= b.coefficient;
  product.power += b.power;
  for (const Atom& atom : b.atoms) {
    const auto known = std::find_if(product.atoms.begin(), product.atoms.end(), [&](const Atom& other) {
      return other.fn == atom.fn && EqualSums(*other.argument, *atom.argument, kSame);
    });
    if (known == product.atoms.end())
      product.atoms.push_back(atom);
    else
      known->power += atom.power;
  }
  return product;
}

std::optional<Sum> MultiplySums(const Sum& a, const Sum& b) {
  if (a.terms.size() * b.terms.size() > kMaxTerms) return std::nullopt;
  Sum product;
  for (const Term& x : a.terms) {
    for (const Term& y : b.terms) {
      Term term = MultiplyTerms(x, y);
      int power = term.power;
      for (const Atom& atom : term.atoms) power += atom.power;
      if (power > kMaxPower) return std::nullopt;
      AddTerm(product, term);
    }
  }
  return product;
}

bool IsConstant(const Term& term) { return term.power == 0 && term.atoms.empty(); }

std::optional<double> ConstantOf(const Sum& sum) {
  if (sum.terms.empty()) return 0.0;
  if (sum.terms.size() == 1 && IsConstant(sum.terms[0])) return sum.terms[0].coefficient;
  return std::nullopt;
}

std::optional<RealFunction::Line> LineOf(const Sum& sum) {
  RealFunction::Line line;
  for (const Term& term : sum.terms) {
    if (!term.atoms.empty() || term.power > 1) return std::nullopt;
    (term.power == 1 ? line.slope : line.offset) = term.coefficient;
  }
  return line;
}

double ValueOf(Fn fn, double x) {
  switch (fn) {
    case Fn::kExp:
      return std::exp(x);
    case Fn::kLog:
      return std::log(x);
    case Fn::kTanh:
      return std::tanh(x);
    case Fn::kErf:
      return std::erf(x);
    case Fn::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Fn::kSoftplus:
      return std::log1p(std::exp(x));
    case Fn::kReciprocal:
      return 1 / x;
  }
  return 0;
}

double ValueOf(const Sum& sum, double x) {
  double total = 0;
  for (const Term& term : sum.terms) {
    double product = term.coefficient * std::pow(x, term.power);
    for (const Atom& atom : term.atoms)
      product *= std::pow(ValueOf(atom.fn, ValueOf(*atom.argument, x)), atom.power);
    total += product;
  }
  return total;
}

Sum AtomSum(Fn fn, Sum argument) {
  return {{Term{1, 0, {Atom{fn, std::make_shared<const Sum>(std::move(argument)), 1}}}}};
}

// The q of 1 + exp(q).
const Sum* OnePlusExp(const Sum& sum) {
  if (sum.terms.size() != 2) return nullptr;
  const size_t one = IsConstant(sum.terms[0]) ? 0 : 1;
  const Term &constant = sum.terms[one], &other = sum.terms[1 - one];
  const bool matches = IsConstant(constant) && Close(constant.coefficient, 1) &&
                       Close(other.coefficient, 1) && other.power == 0 && other.atoms.size() == 1 &&
                       other.atoms[0].fn == Fn::kExp && other.atoms[0].power == 1;
  return matches ? other.atoms[0].argument.get() : nullptr;
}

std::optional<Sum> ReciprocalOf(Sum argument) {
  // 1 / (c + ...) is 1/c * 1 / (1 + ...).
  double factor = 1;
  for (const Term& term : argument.terms) {
    if (IsConstant(term)) factor = 1 / term.coefficient;
  }
  argument = AddSums({}, argument, factor);
  if (const Sum* exponent = OnePlusExp(argument)) {
    return AddSums({}, AtomSum(Fn::kSigmoid, AddSums({}, *exponent, -1)), factor);
  }
  return AddSums({}, AtomSum(Fn::kReciprocal, std::move(argument)), factor);
}

std::optional<Sum> ApplyTo(Fn fn, const Sum& argument) {
  if (const auto constant = ConstantOf(argument)) {
    const double value = ValueOf(fn, *constant);
    if (!std::isfinite(value)) return std::nullopt;
    return ConstantSum(value);
  }
  if (fn == Fn::kReciprocal) return ReciprocalOf(argument);
  if (fn == Fn::kLog) {
    if (const Sum* exponent = OnePlusExp(argument)) return AtomSum(Fn::kSoftplus, *exponent);
  }
  return AtomSum(fn, argument);
}

std::vector<double> Union(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> all;
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  all.erase(std::unique(all.begin(), all.end(), [](double x, double y) { return Close(x, y); }), all.end());
  return all;
}

// A point well inside interval `i`.
double Inside(const std::vector<double>& knots, size_t i) {
  if (knots.empty()) return 0;
  if (i == 0) return knots[0] - 1 - std::abs(knots[0]);
  if (i == knots.size()) return knots.back() + 1 + std::abs(knots.back());
  return (knots[i - 1] + knots[i]) / 2;
}

size_t IntervalOf(const std::vector<double>& knots, double x) {
  return static_cast<size_t>(std::upper_bound(knots.begin(), knots.end(), x) - knots.begin());
}

// Adds the points where the difference of a and b, linear on each interval, changes its sign. False: it is
// not linear.
bool AddCrossings(const std::vector<Sum>& a, const std::vector<Sum>& b, std::vector<double>& knots) {
  std::vector<double> crossings;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto line = LineOf(AddSums(a[i], b[i], -1));
    if (!line) return false;
    if (line->slope == 0) continue;
    const double root = -line->offset / line->slope;
    if (IntervalOf(knots, root) == i) crossings.push_back(root + 0.0);  // no -0
  }
  std::sort(crossings.begin(), crossings.end());
  knots = Union(knots, crossings);
  return knots.size() <= kMaxKnots;
}

}  // namespace

RealFunction::Condition RealFunction::Condition::Not() const {
  Condition result = *this;
  result.holds.flip();
  result.for_nan = !for_nan;
  return result;
}

RealFunction RealFunction::X() {
  RealFunction f;
  f.pieces_ = {Sum{{Term{1, 1, {}}}}};
  f.keeps_nan_ = true;
  return f;
}

RealFunction RealFunction::Constant(double value) {
  RealFunction f;
  f.pieces_ = {ConstantSum(value)};
  return f;
}

std::vector<Sum> RealFunction::PiecesAt(const std::vector<double>& knots) const {
  std::vector<Sum> pieces;
  for (size_t i = 0; i <= knots.size(); ++i) pieces.push_back(pieces_[IntervalOf(knots_, Inside(knots, i))]);
  return pieces;
}

bool RealFunction::JumpsAt(double knot) const {
  for (size_t i = 0; i < knots_.size(); ++i) {
    if (Close(knots_[i], knot)) return jumps_[i];
  }
  return false;
}

bool RealFunction::continuous() const {
  return std::find(jumps_.begin(), jumps_.end(), true) == jumps_.end();
}

void RealFunction::Simplify() {
  jumps_.clear();
  for (size_t i = 0; i < knots_.size();) {
    const double left = ValueOf(pieces_[i], knots_[i]), right = ValueOf(pieces_[i + 1], knots_[i]);
    // Near 0 a relative bound is too strict: the pieces' own numbers are rounded.
    const bool jumps = !(std::abs(left - right) <= kSame * std::max({std::abs(left), std::abs(right), 1e-3}));
    if (!jumps && EqualSums(pieces_[i], pieces_[i + 1], kSame)) {
      knots_.erase(knots_.begin() + static_cast<long>(i));
      pieces_.erase(pieces_.begin() + static_cast<long>(i) + 1);
      continue;
    }
    jumps_.push_back(jumps);
    ++i;
  }
}

RealFunction::Result RealFunction::Add(const RealFunction& a, const RealFunction& b) {
  RealFunction f;
  f.knots_ = Union(a.knots_, b.knots_);
  if (f.knots_.size() > kMaxKnots) return std::nullopt;
  for (double knot : f.knots_) {
    if (a.JumpsAt(knot) && b.JumpsAt(knot)) return std::nullopt;
  }
  const std::vector<Sum> left = a.PiecesAt(f.knots_), right = b.PiecesAt(f.knots_);
  for (size_t i = 0; i < left.size(); ++i) {
    f.pieces_.push_back(AddSums(left[i], right[i]));
    if (f.pieces_.back().terms.size() > kMaxTerms) return std::nullopt;
  }
  f.keeps_nan_ = a.keeps_nan_ || b.keeps_nan_;
  f.Simplify();
  return f;
}

RealFunction::Result RealFunction::Multiply(const RealFunction& a, const RealFunction& b) {
  RealFunction f;
  f.knots_ = Union(a.knots_, b.knots_);
  if (f.knots_.size() > kMaxKnots) return std::nullopt;
  for (double knot : f.knots_) {
    if (a.JumpsAt(knot) && b.JumpsAt(knot)) return std::nullopt;
  }
  const std::vector<Sum> left = a.PiecesAt(f.knots_), right = b.PiecesAt(f.knots_);
  for (size_t i = 0; i < left.size(); ++i) {
    auto product = MultiplySums(left[i], right[i]);
    if (!product) return std::nullopt;
    f.pieces_.push_back(std::move(*product));
  }
  f.keeps_nan_ = a.keeps_nan_ || b.keeps_nan_;
  f.Simplify();
  return f;
}

RealFunction::Result RealFunction::Max(const RealFunction& a, const RealFunction& b) {
  if (!a.continuous() || !b.continuous()) return std::nullopt;
  RealFunction f;
  f.knots_ = Union(a.knots_, b.knots_);
  if (!AddCrossings(a.PiecesAt(f.knots_), b.PiecesAt(f.knots_), f.knots_)) return std::nullopt;
  const std::vector<Sum> left = a.PiecesAt(f.knots_), right = b.PiecesAt(f.knots_);
  for (size_t i = 0; i < left.size(); ++i) {
    const double x = Inside(f.knots_, i);
    f.pieces_.push_back(ValueOf(left[i], x) >= ValueOf(right[i], x) ? left[i] : right[i]);
  }
  f.keeps_nan_ = a.keeps_nan_ || b.keeps_nan_;
  f.Simplify();
  return f;
}

RealFunction::Result RealFunction::Min(const RealFunction& a, const RealFunction& b) {
  const Result max = Max(a.Scaled(-1), b.Scaled(-1));
  if (!max) return std::nullopt;
  return max->Scaled(-1);
}

RealFunction::Result RealFunction::Apply(Fn fn, const RealFunction& a) {
  RealFunction f = a;
  for (Sum& piece : f.pieces_) {
    auto applied = ApplyTo(fn, piece);
    if (!applied) return std::nullopt;
    piece = std::move(*applied);
  }
  f.Simplify();
  return f;
}

std::optional<RealFunction::Condition> RealFunction::Greater(const RealFunction& a, const RealFunction& b,
                                                             bool or_equal) {
  if (!a.continuous() || !b.continuous()) return std::nullopt;
  Condition condition;
  condition.knots = Union(a.knots_, b.knots_);
  if (!AddCrossings(a.PiecesAt(condition.knots), b.PiecesAt(condition.knots), condition.knots))
    return std::nullopt;
  const std::vector<Sum> left = a.PiecesAt(condition.knots), right = b.PiecesAt(condition.knots);
  for (size_t i = 0; i < left.size(); ++i) {
    const Sum difference = AddSums(left[i], right[i], -1);
    condition.holds.push_back(difference.terms.empty() ? or_equal
                                                       : ValueOf(difference, Inside(condition.knots, i)) > 0);
  }
  // Touching without crossing, a point differs from both its sides.
  for (size_t i = 0; i < condition.knots.size(); ++i) {
    const bool side = condition.holds[i];
    if (side != condition.holds[i + 1] || side == or_equal) continue;
    const double x = condition.knots[i];
    if (Close(ValueOf(left[i], x), ValueOf(right[i], x))) return std::nullopt;
  }
  return condition;
}

RealFunction::Result RealFunction::Select(const Condition& condition, const RealFunction& a,
                                          const RealFunction& b) {
  if (!a.continuous() || !b.continuous()) return std::nullopt;
  RealFunction f;
  f.knots_ = Union(condition.knots, Union(a.knots_, b.knots_));
  if (f.knots_.size() > kMaxKnots) return std::nullopt;
  const std::vector<Sum> left = a.PiecesAt(f.knots_), right = b.PiecesAt(f.knots_);
  for (size_t i = 0; i < left.size(); ++i) {
    const bool holds = condition.holds[IntervalOf(condition.knots, Inside(f.knots_, i))];
    f.pieces_.push_back(holds ? left[i] : right[i]);
  }
  f.keeps_nan_ = condition.for_nan ? a.keeps_nan_ : b.keeps_nan_;
  f.Simplify();
  return f;
}

RealFunction RealFunction::Scaled(double factor) const {
  RealFunction f = *this;
  for (Sum& piece : f.pieces_) piece = AddSums({}, piece, factor);
  f.Simplify();
  return f;
}

RealFunction RealFunction::Plus(double term) const {
  RealFunction f = *this;
  for (Sum& piece : f.pieces_) AddTerm(piece, Term{term, 0, {}});
  return f;
}

std::optional<RealFunction::Line> RealFunction::line(size_t i) const { return LineOf(pieces_[i]); }

bool RealFunction::Equals(const RealFunction& other, double tolerance) const {
  if (knots_.size() != other.knots_.size() || jumps_ != other.jumps_ || keeps_nan_ != other.keeps_nan_)
    return false;
  for (size_t i = 0; i < knots_.size(); ++i) {
    if (!Close(knots_[i], other.knots_[i], tolerance)) return false;
  }
  for (size_t i = 0; i < pieces_.size(); ++i) {
    if (!EqualSums(pieces_[i], other.pieces_[i], tolerance)) return false;
  }
  return true;
}

}  // namespace sluice
