#include "graph/passes/real_function.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

using Sum = RealFunction::Sum;
using Term = RealFunction::Term;
using Fn = RealFunction::Fn;

constexpr size_t kMaxKnots = 8;

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
