#include "graph/passes/real_function.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/passes/activation.h"

namespace sluice {
namespace {

using F = RealFunction;
using Fn = F::Fn;

const F kX = F::X();
F C(double value) { return F::Constant(value); }
F Relu(const F& f) { return *F::Max(f, C(0)); }
std::string Recognised(const F& f) {
  const auto ops = RecogniseFunction(f, 2e-6);
  if (!ops) return "nothing";
  std::string text;
  for (const PostOp& op : *ops) text += (text.empty() ? "" : " + ") + ToString(op);
  return text;
}

TEST(RealFunction, SpellingsOfLeakyReluAreOneFunction) {
  const F want = *F::Max(kX, kX.Scaled(0.1));
  EXPECT_TRUE(want.Equals(*F::Add(Relu(kX), Relu(kX.Scaled(-1)).Scaled(-0.1)), 1e-9));
  const F abs = *F::Max(kX, kX.Scaled(-1));
  EXPECT_TRUE(want.Equals(*F::Add(kX.Scaled(0.55), abs.Scaled(0.45)), 1e-9));
  for (bool or_equal : {false, true}) {
    const auto positive = F::Greater(kX, C(0), or_equal);
    EXPECT_TRUE(want.Equals(*F::Select(*positive, kX, kX.Scaled(0.1)), 1e-9));
    EXPECT_TRUE(want.Equals(*F::Multiply(kX, *F::Select(*positive, C(1), C(0.1))), 1e-9));
  }
  EXPECT_EQ(Recognised(want), "LeakyRelu(0.1)");
  EXPECT_EQ(Recognised(*F::Min(kX, kX.Scaled(1.5))), "LeakyRelu(1.5)");
  EXPECT_EQ(Recognised(*F::Max(kX, kX.Scaled(1.5))), "LeakyRelu(0.666667) + Linear(1.5, 0)");
  EXPECT_EQ(Recognised(want.Scaled(3)), "LeakyRelu(0.1) + Linear(3, 0)");
}

TEST(RealFunction, KnowsWhatIsNotOne) {
  EXPECT_EQ(Recognised(*F::Max(kX, kX.Scaled(0.1).Plus(0.1))), "nothing");
  EXPECT_EQ(Recognised(*F::Max(*F::Max(kX, kX.Scaled(0.2)), C(-0.4))), "nothing");
  EXPECT_EQ(Recognised(*F::Multiply(kX, *F::Apply(Fn::kSigmoid, kX.Plus(1)))), "nothing");
  EXPECT_EQ(Recognised(C(3)), "nothing");
}

// Relu(NaN) is NaN; this is 0.
TEST(RealFunction, MindsNaN) {
  const auto positive = F::Greater(kX, C(0), false);
  EXPECT_EQ(Recognised(*F::Select(*positive, kX, C(0))), "nothing");
  EXPECT_EQ(Recognised(*F::Select(F::Greater(C(0), kX, false)->Not(), kX, C(0))), "Relu");
  EXPECT_EQ(Recognised(*F::Select(*F::Greater(C(0), kX, false), C(0), kX)), "Relu");
}

// At 0 alone the first is 2 and the second 0: neither is the constant that its sides suggest.
TEST(RealFunction, MindsSinglePoints) {
  const F above = *F::Select(*F::Greater(kX, C(0), true), C(1), C(0));
  const F below = *F::Select(*F::Greater(C(0), kX, true), C(1), C(0));
  EXPECT_FALSE(F::Add(above, below));
  const F abs = *F::Max(kX, kX.Scaled(-1));
  EXPECT_FALSE(F::Greater(abs, C(0), false));
  EXPECT_TRUE(F::Greater(abs, C(0), true));
}

TEST(RealFunction, Bounds) {
  EXPECT_EQ(Recognised(*F::Min(Relu(kX), C(6))), "Clip(0, 6)");
  EXPECT_EQ(Recognised(*F::Max(kX, C(-0.4))), "Clip(-0.4, inf)");
  EXPECT_EQ(Recognised(F::Min(Relu(kX.Plus(3)), C(6))->Scaled(1.0 / 6)), "HardSigmoid(0.166667, 0.5)");
  EXPECT_EQ(Recognised(F::Min(Relu(kX.Plus(3)), C(6))->Scaled(0.5)), "Clip(-3, 3) + Linear(0.5, 1.5)");
  EXPECT_EQ(Recognised(*F::Multiply(kX, F::Min(Relu(kX.Plus(3)), C(6))->Scaled(1.0 / 6))),
            "HardSwish(0.166667, 0.5)");
}

TEST(RealFunction, SmoothOnes) {
  const F exp = *F::Apply(Fn::kExp, kX), exp_minus = *F::Apply(Fn::kExp, kX.Scaled(-1));
  const F sigmoid = *F::Apply(Fn::kReciprocal, exp_minus.Plus(1));
  EXPECT_EQ(Recognised(sigmoid), "Sigmoid");
  EXPECT_EQ(Recognised(*F::Multiply(kX, sigmoid)), "SiLU");
  const F softplus = *F::Apply(Fn::kLog, exp.Plus(1));
  EXPECT_EQ(Recognised(*F::Multiply(*F::Apply(Fn::kTanh, softplus), kX)), "Mish");
  const F erf = *F::Apply(Fn::kErf, kX.Scaled(1 / std::sqrt(2.0)));
  EXPECT_EQ(Recognised(*F::Multiply(erf.Plus(1), kX.Scaled(0.5))), "Gelu");
  EXPECT_EQ(Recognised(*F::Add(kX.Scaled(0.5), *F::Multiply(kX.Scaled(0.5), erf))), "Gelu");
  const F square = *F::Multiply(kX, kX);
  const F inner = *F::Multiply(kX.Scaled(0.7978845608), square.Scaled(0.044715).Plus(1));
  EXPECT_EQ(Recognised(*F::Multiply(F::Apply(Fn::kTanh, inner)->Plus(1), kX.Scaled(0.5))), "GeluTanh");
  const auto positive = F::Greater(kX, C(0), false);
  EXPECT_EQ(Recognised(*F::Select(*positive, kX, exp.Plus(-1).Scaled(0.7))), "Elu(0.7)");
  EXPECT_EQ(Recognised(square), "Square");
}

TEST(RealFunction, StopsAtSizes) {
  F power = kX;
  std::optional<F> next = power;
  for (int i = 0; i < 20 && next; ++i) next = F::Multiply(*next, next->Plus(1));
  EXPECT_FALSE(next);
}

}  // namespace
}  // namespace sluice
