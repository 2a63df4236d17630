#include "tools/dead_units.h"

#include <gtest/gtest.h>

#include "tests/graph/passes/graph_text.h"

namespace sluice::tools {
namespace {

Tensor Floats(const Shape& shape, const std::vector<float>& values) {
  return Tensor::From<float>(shape, values);
}

DeadUnits UnitsOf(const std::string& text, bool passes = true) { return {test::ParseGraph(text), passes, 1}; }

TEST(DeadUnits, CountsSignsOfEachChannel) {
  DeadUnits units = UnitsOf("x: float [1, 3, 1, 2]\n y = Relu(x)\n return y");
  units.Run({Floats({1, 3, 1, 2}, {-1, 2, 0, -3, -4, -5})});
  ASSERT_EQ(units.activations().size(), 1u);
  const ActivationInput& relu = units.activations()[0];
  EXPECT_EQ(relu.count, 6);
  EXPECT_EQ(relu.negative, 4) << "0 is not negative";
  EXPECT_EQ(relu.never_fired(), (std::vector<int64_t>{1, 2}));
  EXPECT_FALSE(relu.from_output);
}

TEST(DeadUnits, AChannelFiresOnceAnyRunMakesItPositive) {
  DeadUnits units = UnitsOf("x: float [1, 2, 1, 1]\n y = Relu(x)\n return y");
  units.Run({Floats({1, 2, 1, 1}, {-1, -1})});
  EXPECT_EQ(units.activations()[0].never_fired(), (std::vector<int64_t>{0, 1}));
  units.Run({Floats({1, 2, 1, 1}, {-1, 3})});
  EXPECT_EQ(units.activations()[0].never_fired(), std::vector<int64_t>{0});
  EXPECT_DOUBLE_EQ(units.activations()[0].negative_share(), 0.75);
}

// Each is what a plain run fuses into the convolution.
TEST(DeadUnits, SeesWhatFusionHides) {
  const std::string conv =
      "x: float [1, 1, 2, 2]\n w = const [2, 1, 1, 1] {1, -1}\n b = const [2] {0, 1.5}\n c = Conv(x, w, b)\n";
  const Tensor image = Floats({1, 1, 2, 2}, {-2, 1, 2, 3});  // channel 1: 3.5, 0.5, -0.5, -1.5
  struct Case {
    const char* activation;
    const char* op;
  };
  for (const Case& c : {Case{"y = Relu(c)\n return y", "Relu"},
                        Case{"y = LeakyRelu(c) {alpha: 0.1}\n return y", "LeakyRelu(0.1)"},
                        Case{"m = Mul(c, 0.1)\n y = Max(c, m)\n return y", "LeakyRelu(0.1)"},
                        Case{"s = const [2, 1, 1] {0.1, 0.2}\n y = PRelu(c, s)\n return y", "PRelu"},
                        Case{"y = Clip(c, 0.0, 6.0)\n return y", "Clip"}}) {
    DeadUnits units = UnitsOf(conv + c.activation);
    units.Run({image});
    ASSERT_EQ(units.activations().size(), 1u) << c.activation;
    EXPECT_EQ(units.activations()[0].op, c.op);
    EXPECT_EQ(units.activations()[0].value, "c");
    EXPECT_EQ(units.activations()[0].count, 8);
    EXPECT_EQ(units.activations()[0].negative, 3) << c.activation;
    EXPECT_TRUE(units.activations()[0].never_fired().empty());
    EXPECT_FALSE(units.activations()[0].from_output);
  }
}

// Folded into the convolution, at whose end the sign is decided.
TEST(DeadUnits, BatchNormalizationCounts) {
  for (bool passes : {true, false}) {
    DeadUnits units = UnitsOf(R"(x: float [1, 1, 1, 2]  w = const [2, 1, 1, 1] {1, 1}  c = Conv(x, w)
      scale = const [2] {1, -1}  bias = const [2] {0, 0}  mean = const [2] {0, 0}  var = const [2] {1, 1}
      n = BatchNormalization(c, scale, bias, mean, var)  y = Relu(n)  return y)",
                              passes);
    units.Run({Floats({1, 1, 1, 2}, {1, 2})});
    ASSERT_EQ(units.activations().size(), 1u);
    EXPECT_EQ(units.activations()[0].never_fired(), std::vector<int64_t>{1});
  }
}

TEST(DeadUnits, PartsAreJudgedByWhatComesOut) {
  DeadUnits units = UnitsOf(R"(x: float [1, 4, 1, 1]  e = Tanh(x)  a, b = Split(e, [2, 2]) {axis: 1}
    y = LeakyRelu(a) {alpha: 0.1}  z = Relu(b)  return y, z)");
  units.Run({Floats({1, 4, 1, 1}, {1, -1, 0, 2})});
  ASSERT_EQ(units.activations().size(), 2u);
  for (const ActivationInput& activation : units.activations()) {
    EXPECT_EQ(activation.count, 2);
    EXPECT_EQ(activation.negative, 1) << activation.op;
  }
}

TEST(DeadUnits, FeaturesOfProductsAreTheLastAxis) {
  DeadUnits units = UnitsOf(R"(x: float [1, 3, 2]  w = const [2, 4] {1, -1, 1, -1, 0, 0, 0, 0}
    p = MatMul(x, w)  q = Add(p, 0.25)  y = Relu(q)  return y)");
  units.Run({Floats({1, 3, 2}, {1, 0, 2, 0, 3, 0})});
  ASSERT_EQ(units.activations().size(), 1u);
  EXPECT_EQ(units.activations()[0].never_fired(), (std::vector<int64_t>{1, 3}));
}

TEST(DeadUnits, NothingToLookAt) {
  DeadUnits units = UnitsOf("x: float [1, 2]\n y = Sigmoid(x)\n z = Clip(y, -1.0, 1.0)\n return z");
  units.Run({Floats({1, 2}, {1, 2})});
  EXPECT_TRUE(units.activations().empty());
  DeadUnits empty = UnitsOf("x: float [0, 2]\n y = Relu(x)\n return y");
  empty.Run({Floats({0, 2}, {})});
  EXPECT_EQ(empty.activations()[0].negative_share(), 0);
}

}  // namespace
}  // namespace sluice::tools
