#pragma once

#include <optional>
#include <vector>

#include "graph/passes/term_sum.h"

namespace sluice {

// A real function of one variable x in a normal form, so that two spellings of the same function compare
// equal: a TermSum on each of the intervals between its knots. Operations give nothing where the result has
// no such form, is not worth following (too many terms), or is not known at a knot. Immutable.
class RealFunction {
 public:
  using Sum = TermSum;
  using Fn = TermSum::Fn;
  using Atom = TermSum::Atom;
  using Term = TermSum::Term;
  using Line = TermSum::Line;
  // Where a comparison of two functions holds.
  struct Condition {
    std::vector<double> knots;
    std::vector<bool> holds;  // one for each interval
    bool for_nan = false;
    Condition Not() const;
  };

  static RealFunction X();
  static RealFunction Constant(double value);

  using Result = std::optional<RealFunction>;
  static Result Add(const RealFunction& a, const RealFunction& b);
  static Result Multiply(const RealFunction& a, const RealFunction& b);
  static Result Max(const RealFunction& a, const RealFunction& b);
  static Result Apply(Fn fn, const RealFunction& a);
  static Result Select(const Condition& condition, const RealFunction& a, const RealFunction& b);
  // a > b, or a >= b.
  static std::optional<Condition> Greater(const RealFunction& a, const RealFunction& b, bool or_equal);

  // Derived from these.
  RealFunction Scaled(double factor) const;
  RealFunction Plus(double term) const;
  static Result Min(const RealFunction& a, const RealFunction& b);

  bool continuous() const;
  // x being NaN, so is the value.
  bool keeps_nan() const { return keeps_nan_; }
  const std::vector<double>& knots() const { return knots_; }
  size_t num_pieces() const { return pieces_.size(); }
  const Sum& piece(size_t i) const { return pieces_[i]; }
  // Piece `i` as slope * x + offset, if it is that.
  std::optional<Line> line(size_t i) const;

  // The same function with numbers within `tolerance` of each other, relatively.
  bool Equals(const RealFunction& other, double tolerance) const;

 private:
  // The pieces on the finer division by `knots`.
  std::vector<Sum> PiecesAt(const std::vector<double>& knots) const;
  bool JumpsAt(double knot) const;
  // Drops knots where nothing changes.
  void Simplify();

  std::vector<double> knots_;  // ascending
  std::vector<bool> jumps_;    // by knot: the limits differ; the value there is one of them
  std::vector<Sum> pieces_;    // one more than knots
  bool keeps_nan_ = false;
};

}  // namespace sluice
