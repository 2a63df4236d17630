#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

const std::string kHead = R"(
    x: float [2, 3, 6, 6]
    w = const [4, 3, 3, 3]  v = const [4, 4, 3, 3]
)";

void ExpectFused(const std::string& before, const std::string& after) {
  ExpectRewrite(kFusePostOps, kHead + before, kHead + after);
}

TEST(FusePostOps, Activations) {
  ExpectFused("c = Conv(x, w)  y = LeakyRelu(c) {alpha: 0.1}  return y",
              "y = Conv(x, w) + LeakyRelu(0.1)  return y");
  ExpectFused("c = Conv(x, w)  s = Sigmoid(c)  y = Mul(c, s)  return y",
              "y = Conv(x, w) + SiLU(1)  return y");
}

TEST(FusePostOps, SeveralInOrder) {
  ExpectFused(R"(
    c = Conv(x, w)  l = LeakyRelu(c) {alpha: 0.2}  m = Max(l, -0.4)  y = Mul(m, 2)
    return y)",
              R"(
    y = Conv(x, w) + LeakyRelu(0.2) + Clip(-0.4, inf) + Linear(2, 0)
    return y)");
}

TEST(FusePostOps, Residual) {
  ExpectFused(R"(
    z: float [2, 4, 4, 4]
    c = Conv(x, w)  a = Add(z, c)  y = Relu(a)
    return y)",
              R"(
    z: float [2, 4, 4, 4]
    y = Conv(x, w) + Add(z) + Relu
    return y)");
}

// The sum goes to the convolution that runs last.
TEST(FusePostOps, ResidualOfTwoConvolutions) {
  ExpectFused(R"(
    c = Conv(x, w) {pads: [1, 1, 1, 1]}
    d = Conv(x, w) {pads: [1, 1, 1, 1]}
    e = Conv(d, v) {pads: [1, 1, 1, 1]}
    y = Add(e, c)
    return y)",
              R"(
    c = Conv(x, w) {pads: [1, 1, 1, 1]}
    d = Conv(x, w) {pads: [1, 1, 1, 1]}
    y = Conv(d, v) {pads: [1, 1, 1, 1]} + Add(c)
    return y)");
}

TEST(FusePostOps, FactorsAndTerms) {
  ExpectFused(R"(
    g: float [2, 4, 1, 1]
    k = const [4, 1, 1]
    c = Conv(x, w)  a = Mul(c, g)  b = Sub(a, k)  d = Div(b, k)  e = PRelu(d, k)  y = Sub(g, e)
    return y)",
              R"(
    g: float [2, 4, 1, 1]
    k = const [4, 1, 1]
    y = Conv(x, w) + Mul(g) + Add(k) + Mul(k) + PRelu(k) + Linear(-1, 0) + Add(g)
    return y)");
}

TEST(FusePostOps, BatchNormalizationAfterTheActivation) {
  ExpectFused(R"(
    s = const [4]  t = const [4]  m = const [4]  n = const [4] {1, 2, 3, 4}  k = const [4, 1, 1]
    c = Conv(x, w)  r = Relu(c)  y = BatchNormalization(r, s, t, m, n)
    return y)",
              R"(
    k = const [4, 1, 1]
    y = Conv(x, w) + Relu + Mul(k) + Add(k)
    return y)");
}

TEST(FusePostOps, NeedsTheResultForItselfAlone) {
  ExpectKept(kFusePostOps, kHead + "c = Conv(x, w)  y = Relu(c)  return y, c");
  ExpectKept(kFusePostOps, kHead + "c = Conv(x, w)  y = Relu(c)  z = Transpose(c)  return y, z");
}

TEST(FusePostOps, OperandsMustNotMakeTheResultGrow) {
  ExpectKept(kFusePostOps,
             "x: float [1, 3, 6, 6]  w = const [4, 3, 3, 3]  z: float [2, 4, 4, 4]\n"
             "c = Conv(x, w)  y = Add(c, z)  return y",
             "does not for certain broadcast");
  ExpectKept(kFusePostOps,
             "x: float [1, 3, 6, 6]  w = const [4, 3, 3, 3]  z: float [1, 4, ?, 4]\n"
             "c = Conv(x, w)  y = Add(c, z)  return y",
             "does not for certain broadcast");
  ExpectKept(kFusePostOps, kHead + "z: float [2, 4, 4, 4]  c = Conv(x, w)  y = Div(c, z)  return y",
             "no post-op");
  ExpectKept(kFusePostOps, kHead + "z: float [2, 4, 4, 4]  c = Conv(x, w)  y = Div(z, c)  return y");
}

}  // namespace
}  // namespace sluice::test
