#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

// x in, y out; both of rank 4.
void ExpectFound(const std::string& spelling, const std::string& op, int opset = 17) {
  SCOPED_TRACE(spelling);
  const std::string head = "opset " + std::to_string(opset) + "\n x: float [2, 3, 4, 5]\n";
  ExpectRewrite(kFindActivations, head + spelling + "\n return y", head + "y = " + op + "\n return y");
}

void ExpectNotFound(const std::string& spelling) {
  SCOPED_TRACE(spelling);
  ExpectKept(kFindActivations, "x: float [2, 3, 4, 5]\n " + spelling + "\n return y");
}

const std::string kLeaky = "LeakyRelu(x) {alpha: 0.1}";

TEST(FindActivations, LeakyReluAsMaxOrMin) {
  ExpectFound("a = Mul(x, 0.1)  y = Max(x, a)", kLeaky);
  ExpectFound("a = Mul(0.1, x)  y = Max(a, x)", kLeaky, 8);
  ExpectFound("a = Div(x, 10)  y = Max(x, a)", kLeaky);
  ExpectFound("a = Mul(x, 1.5)  y = Min(x, a)", "LeakyRelu(x) {alpha: 1.5}");
  ExpectFound("a = Mul(x, -0.1)  y = Max(x, a)", "LeakyRelu(x) {alpha: -0.1}");
  ExpectNotFound("a = Mul(x, 1.5)  y = Max(x, a)");
  ExpectNotFound("a = Mul(x, 0.1)  y = Min(x, a)");
  ExpectNotFound("a = Mul(x, 0.1)  b = Add(a, 0.1)  y = Max(x, b)");
}

TEST(FindActivations, LeakyReluAsPRelu) {
  ExpectFound("y = PRelu(x, 0.1)", kLeaky);
  ExpectFound("s = const [1] {0.1}  y = PRelu(x, s)", kLeaky, 6);
  ExpectFound("s = const [3, 1, 1] {0.1, 0.1, 0.1}  y = PRelu(x, s)", kLeaky);
  ExpectNotFound("s = const [3, 1, 1] {0.1, 0.1, 0.2}  y = PRelu(x, s)");
}

TEST(FindActivations, LeakyReluAsWhere) {
  for (const std::string condition :
       {"c = Greater(x, 0)", "c = GreaterOrEqual(x, 0)", "c = Less(0, x)", "c = LessOrEqual(0, x)",
        "d = LessOrEqual(x, 0)  c = Not(d)", "d = Less(x, 0)  c = Not(d)"}) {
    ExpectFound(condition + "  a = Mul(x, 0.1)  y = Where(c, x, a)", kLeaky);
  }
  for (const std::string condition : {"c = Less(x, 0)", "c = Greater(0, x)", "c = LessOrEqual(x, 0)"}) {
    ExpectFound(condition + "  a = Mul(x, 0.1)  y = Where(c, a, x)", kLeaky);
  }
  ExpectFound("c = Greater(x, 0)  s = Where(c, 1, 0.1)  y = Mul(x, s)", kLeaky);
  ExpectNotFound("c = Greater(x, 0.5)  a = Mul(x, 0.1)  y = Where(c, x, a)");
  ExpectNotFound("c = Greater(x, 0)  y = Where(c, x, 0)");  // NaN gives 0
}

TEST(FindActivations, LeakyReluAsSums) {
  ExpectFound("p = Relu(x)  m = Neg(x)  n = Relu(m)  s = Mul(n, 0.1)  y = Sub(p, s)", kLeaky);
  ExpectFound("p = Relu(x)  m = Mul(x, -1)  n = Relu(m)  s = Mul(-0.1, n)  y = Add(s, p)", kLeaky);
  ExpectFound("p = Relu(x)  m = Neg(x)  n = Relu(m)  o = Neg(n)  s = Mul(o, 0.1)  y = Add(p, s)", kLeaky);
  ExpectFound("b = Abs(x)  s = Mul(b, 0.45)  l = Mul(x, 0.55)  y = Add(l, s)", kLeaky);
  ExpectFound("p = Clip(x, 0)  n = Clip(x, _, 0)  s = Mul(n, 0.1)  y = Add(p, s)", kLeaky);
  ExpectFound("p = Max(x, 0)  n = Min(x, 0)  s = Mul(n, 0.1)  y = Add(p, s)", kLeaky);
}

// openWakeWord's embedding model: two operations, not one.
TEST(FindActivations, DoesNotTakeABoundForASlope) {
  ExpectFound("a = LeakyRelu(x) {alpha: 0.2}  y = Max(a, -0.4)",
              "LeakyRelu(x) {alpha: 0.2}\n y = Clip(y, -0.4)");
}

TEST(FindActivations, Bounds) {
  ExpectFound("y = Max(x, 0)", "Relu(x)");
  ExpectFound("a = Max(0, x)  y = Min(a, 6)", "Clip(x, 0, 6)");
  ExpectFound("y = Clip(x) {min: 0.0}", "Relu(x)", 6);
  ExpectFound("a = Relu(x)  b = Relu(a)  y = Relu(b)", "Relu(x)");
  ExpectFound("a = Add(x, 3)  b = Clip(a, 0, 6)  y = Div(b, 6)",
              "HardSigmoid(x) {alpha: 0.16667, beta: 0.5}");
}

TEST(FindActivations, HardSwish) {
  ExpectFound("a = HardSigmoid(x) {alpha: 0.1666667, beta: 0.5}  y = Mul(x, a)", "HardSwish(x)");
  ExpectFound("a = Add(x, 3)  b = Clip(a, 0, 6)  c = Mul(x, b)  y = Div(c, 6)", "HardSwish(x)");
  ExpectFound("a = Add(x, 3)  b = Clip(a, 0, 6)  c = Div(b, 6)  y = Mul(c, x)", "HardSwish(x)");
  ExpectFound("a = Add(x, 3)  b = Relu(a)  c = Min(b, 6)  d = Mul(c, 0.16666667)  y = Mul(d, x)",
              "HardSwish(x)");
  ExpectNotFound("a = Add(x, 3)  b = Clip(a, 0, 6)  c = Mul(x, b)  y = Div(c, 5)");
}

TEST(FindActivations, SmoothOnes) {
  ExpectFound("s = Sigmoid(x)  y = Mul(s, x)", "Swish(x) {alpha: 1}");
  ExpectFound("b = Mul(x, 1.702)  s = Sigmoid(b)  y = Mul(x, s)", "Swish(x) {alpha: 1.702}");
  ExpectFound("n = Neg(x)  e = Exp(n)  o = Add(e, 1)  y = Div(x, o)", "Swish(x) {alpha: 1}");
  ExpectFound("n = Neg(x)  e = Exp(n)  o = Add(1, e)  y = Reciprocal(o)", "Sigmoid(x)");
  ExpectFound("p = Softplus(x)  t = Tanh(p)  y = Mul(x, t)", "Mish(x)");
  ExpectFound("e = Exp(x)  o = Add(e, 1)  p = Log(o)  t = Tanh(p)  y = Mul(t, x)", "Mish(x)");
  ExpectFound("c = Greater(x, 0)  e = Exp(x)  m = Sub(e, 1)  a = Mul(m, 0.7)  y = Where(c, x, a)",
              "Elu(x) {alpha: 0.7}");
}

TEST(FindActivations, Gelu) {
  ExpectFound("d = Div(x, 1.4142135)  e = Erf(d)  a = Add(e, 1)  m = Mul(x, a)  y = Mul(m, 0.5)", "Gelu(x)");
  ExpectFound("d = Mul(x, 0.70710678)  e = Erf(d)  a = Add(1, e)  h = Mul(0.5, x)  y = Mul(h, a)", "Gelu(x)");
  ExpectFound("d = Div(x, 1.4142135)  e = Erf(d)  a = Add(e, 1)  h = Mul(a, 0.5)  y = Mul(x, h)", "Gelu(x)");
  const std::string tanh = "Gelu(x) {approximate: tanh}";
  ExpectFound(
      "p = Pow(x, 3)  c = Mul(p, 0.044715)  s = Add(x, c)  i = Mul(s, 0.79788456)  t = Tanh(i)  a = Add(t, "
      "1)  "
      "h = Mul(x, 0.5)  y = Mul(h, a)",
      tanh);
  ExpectFound(
      "p = Mul(x, x)  c = Mul(p, 0.044715)  o = Add(c, 1)  s = Mul(x, 0.79788456)  i = Mul(s, o)  t = "
      "Tanh(i)  "
      "a = Add(t, 1)  h = Mul(a, 0.5)  y = Mul(h, x)",
      tanh);
  ExpectNotFound("d = Div(x, 1.5)  e = Erf(d)  a = Add(e, 1)  m = Mul(x, a)  y = Mul(m, 0.5)");
}

TEST(FindActivations, Float16NumbersAreRounded) {
  const std::string head =
      "x: float16 [2, 3]\n three = const float16 {3}  zero = const float16 {0}  six = const float16 {6}\n"
      "sixth = const float16 {0.16666}\n";
  ExpectRewrite(
      kFindActivations,
      head + "a = Add(x, three)  b = Clip(a, zero, six)  c = Mul(x, b)  y = Mul(c, sixth)\n return y",
      head + "y = HardSwish(x)\n return y");
}

TEST(FindActivations, KeepsWhatOthersNeed) {
  const std::string text = "x: float [2, 3]\n a = Mul(x, 0.1)  y = Max(x, a)\n return y, a";
  ExpectKept(kFindActivations, text);
  ExpectKept(kFindActivations, "x: int64 [2, 3]\n z = const int64 {0}  y = Max(x, z)\n return y");
  // The number makes the result grow.
  ExpectKept(kFindActivations, "x: float [3]\n s = const [1, 1] {0}  y = Max(x, s)\n return y");
  // Another value beside x.
  ExpectKept(kFindActivations, "x: float [3]\n z: float [3]\n a = Mul(z, 0.1)  y = Max(x, a)\n return y");
}

TEST(FindActivations, ProductsOfNumbers) {
  ExpectFound("a = Mul(x, 2)  b = Mul(a, 3)  y = Div(b, 4)", "Mul(x, 1.5)");
  ExpectFound("a = Sub(x, 2)  y = Add(a, 3)", "Add(x, 1)");
}

}  // namespace
}  // namespace sluice::test
