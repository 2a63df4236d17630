#pragma once

#include <memory>
#include <optional>
#include <vector>

namespace sluice {

// A sum of terms  coefficient * x^p * f1(s1)^q1 * f2(s2)^q2 ...  where the f are exp, tanh and the like and
// the s are such sums again. No two terms are alike but for the coefficient, and none is 0.
struct TermSum {
  enum class Fn { kExp, kLog, kTanh, kErf, kSigmoid, kSoftplus, kReciprocal };

  struct Atom {
    Fn fn;
    std::shared_ptr<const TermSum> argument;
    int power;
  };
  struct Term {
    double coefficient = 0;
    int power = 0;  // of x
    std::vector<Atom> atoms;
  };
  struct Line {
    double slope = 0, offset = 0;
  };

  std::vector<Term> terms;
};

// Numbers in models are floats: what differs by less is the same number computed in another way.
constexpr double kSame = 1e-6;
// Activations have up to 4 terms, 3 knots and degree 4.
constexpr size_t kMaxTerms = 12;

// Within `tolerance` of each other, relatively.
bool Close(double a, double b, double tolerance = kSame);
bool EqualSums(const TermSum& a, const TermSum& b, double tolerance);

void AddTerm(TermSum& sum, const TermSum::Term& term);
// a + factor * b.
TermSum AddSums(TermSum a, const TermSum& b, double factor = 1);
TermSum ConstantSum(double value);
// Multiplied out; nothing where that has too many terms or too high a power.
std::optional<TermSum> MultiplySums(const TermSum& a, const TermSum& b);
// fn(argument); nothing for a constant that fn has no value at.
std::optional<TermSum> ApplyTo(TermSum::Fn fn, const TermSum& argument);

// slope * x + offset, if it is that.
std::optional<TermSum::Line> LineOf(const TermSum& sum);
double ValueOf(const TermSum& sum, double x);

}  // namespace sluice
