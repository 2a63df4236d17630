#include <cmath>

#include "tests/kernels/op_test_util.h"

// Adagrad, Adam, Momentum of ai.onnx.preview.training, by the formulas of the specification.

namespace sluice::test {
namespace {

const std::string kDomain = "ai.onnx.preview.training";

std::vector<Value> Train(const std::string& op, Attrs attrs, std::vector<Value> inputs, int outputs) {
  return RunOp({op, 1, std::move(attrs), std::move(inputs), outputs, kDomain});
}

TEST(Optimizer, AdagradDividesByTheGradientsSoFar) {
  const auto out = Train("Adagrad", {{"decay_factor", 0.5f}, {"norm_coefficient", 0.1f}, {"epsilon", 0.25f}},
                         {F({}, {2}), I({}, {2}), F({2}, {1, -2}), F({2}, {3, 0}), F({2}, {4, 1})}, 2);
  // r = 2 / (1 + 2 * 0.5) = 1; g = {3.1, -0.2}; h = {4 + 9.61, 1 + 0.04}.
  ExpectTensor(out[1], F({2}, {13.61f, 1.04f}));
  ExpectTensor(out[0],
               F({2}, {1 - 3.1f / (std::sqrt(13.61f) + 0.25f), -2 + 0.2f / (std::sqrt(1.04f) + 0.25f)}));
}

TEST(Optimizer, AdamAdjustsTheRate) {
  const std::vector<Value> inputs = {F({}, {1}),  I({}, {3}),     F({1}, {1}),
                                     F({1}, {2}), F({1}, {0.5f}), F({1}, {4})};
  const Attrs attrs = {{"alpha", 0.5f}, {"beta", 0.75f}, {"epsilon", 0.0f}, {"norm_coefficient_post", 0.5f}};
  const auto out = Train("Adam", attrs, inputs, 3);
  const double v = 0.5 * 0.5 + 0.5 * 2, h = 0.75 * 4 + 0.25 * 4;
  const double rate = std::sqrt(1 - std::pow(0.75, 3)) / (1 - std::pow(0.5, 3));
  ExpectTensor(out[0], F({1}, {static_cast<float>(0.5 * (1 - rate * v / std::sqrt(h)))}));
  ExpectTensor(out[1], F({1}, {static_cast<float>(v)}));
  ExpectTensor(out[2], F({1}, {static_cast<float>(h)}));
}

TEST(Optimizer, MomentumOfSeveralTensors) {
  const auto inputs = [](int64_t t) {
    return std::vector<Value>{F({}, {0.5f}), I({}, {t}),
                              F({1}, {1}),   Make<double>({2}, {2, 3}),
                              F({1}, {4}),   Make<double>({2}, {5, 6}),
                              F({1}, {7}),   Make<double>({2}, {8, 9})};
  };
  Attrs attrs = {
      {"alpha", 0.5f}, {"beta", 0.25f}, {"norm_coefficient", 0.0f}, {"mode", std::string("standard")}};
  auto out = Train("Momentum", attrs, inputs(1), 4);
  ExpectTensor(out[0], F({1}, {1 - 0.5f * 4.5f}));
  ExpectTensor(out[2], F({1}, {4.5f}));
  ExpectTensor(out[3], Make<double>({2}, {5.25, 6}));
  attrs["mode"] = std::string("nesterov");
  out = Train("Momentum", attrs, inputs(0), 4);
  ExpectTensor(out[0], F({1}, {1 - 0.5f * (4 + 0.5f * 7.5f)}));
  attrs["mode"] = std::string("odd");
  ExpectRefused({"Momentum", 1, attrs, inputs(0), 4, kDomain}, "unknown mode 'odd'");
}

TEST(Optimizer, Refuses) {
  const Tensor x = F({1}, {1});
  ExpectRefused({"Adagrad", 1, {}, {F({}, {1}), I({}, {0}), x, x, x, x}, 2, kDomain}, "has 6 inputs");
  ExpectRefused({"Adagrad", 1, {}, {F({}, {1}), I({}, {0}), x, x, F({2}, {1, 2})}, 2, kDomain}, "input 4 is");
  ExpectRefused({"Adagrad", 1, {}, {F({2}, {1, 1}), I({}, {0}), x, x, x}, 2, kDomain}, "expected scalars");
  ExpectRefused({"Adagrad", 1, {}, {F({}, {1}), F({}, {0}), x, x, x}, 2, kDomain}, "expected int64");
}

}  // namespace
}  // namespace sluice::test
