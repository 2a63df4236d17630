#include "graph/passes/term_sum.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

using Sum = TermSum;
using Term = TermSum::Term;
using Atom = TermSum::Atom;
using Fn = TermSum::Fn;

constexpr int kMaxPower = 6;

bool EqualAtoms(const Atom& a, const Atom& b, double tolerance) {
  return a.fn == b.fn && a.power == b.power && EqualSums(*a.argument, *b.argument, tolerance);
}

// But for the coefficient.
bool EqualMonomials(const Term& a, const Term& b, double tolerance) {
  return a.power == b.power && a.atoms.size() == b.atoms.size() &&
         std::is_permutation(a.atoms.begin(), a.atoms.end(), b.atoms.begin(),
                             [=](const Atom& x, const Atom& y) { return EqualAtoms(x, y, tolerance); });
}

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

bool IsConstant(const Term& term) { return term.power == 0 && term.atoms.empty(); }

std::optional<double> ConstantOf(const Sum& sum) {
  if (sum.terms.empty()) return 0.0;
  if (sum.terms.size() == 1 && IsConstant(sum.terms[0])) return sum.terms[0].coefficient;
  return std::nullopt;
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

}  // namespace

bool Close(double a, double b, double tolerance) {
  return a == b || std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
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

Sum AddSums(Sum a, const Sum& b, double factor) {
  for (Term term : b.terms) {
    term.coefficient *= factor;
    AddTerm(a, term);
  }
  return a;
}

Sum ConstantSum(double value) { return value == 0 ? Sum() : Sum{{Term{value, 0, {}}}}; }

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

std::optional<TermSum::Line> LineOf(const Sum& sum) {
  TermSum::Line line;
  for (const Term& term : sum.terms) {
    if (!term.atoms.empty() || term.power > 1) return std::nullopt;
    (term.power == 1 ? line.slope : line.offset) = term.coefficient;
  }
  return line;
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

}  // namespace sluice
