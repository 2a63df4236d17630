#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

const std::string kHead = "x: float [2, 3, 8, 8]  w = const [4, 3, 3, 3]\n";

TEST(HoistActivations, OverMaxPool) {
  ExpectRewrite(kHoistActivations, kHead + R"(
    c = Conv(x, w)  p = MaxPool(c) {kernel_shape: [2, 2], strides: [2, 2]}  y = LeakyRelu(p) {alpha: 0.1}
    return y)",
                kHead + R"(
    c = Conv(x, w) + LeakyRelu(0.1)  y = MaxPool(c) {kernel_shape: [2, 2], strides: [2, 2]}
    return y)");
}

TEST(HoistActivations, NotWhatFalls) {
  ExpectKept(kHoistActivations, kHead + R"(
    c = Conv(x, w)  p = MaxPool(c) {kernel_shape: [2, 2]}  y = LeakyRelu(p) {alpha: -0.1}
    return y)",
             "does not only rise");
  ExpectKept(kHoistActivations, kHead + R"(
    c = Conv(x, w)  p = MaxPool(c) {kernel_shape: [2, 2]}  s = Sigmoid(p)  y = Mul(p, s)
    return y)",
             "does not only rise");
}

TEST(HoistActivations, NotWhereOthersLookBetween) {
  ExpectKept(kHoistActivations,
             kHead + "c = Conv(x, w)  p = MaxPool(c) {kernel_shape: [2, 2]}  y = Relu(p)  return y, p");
  ExpectKept(kHoistActivations,
             kHead + "c = Conv(x, w)  p = MaxPool(c) {kernel_shape: [2, 2]}  y = Relu(p)  return y, c");
}

}  // namespace
}  // namespace sluice::test
