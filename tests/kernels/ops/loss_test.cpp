#include "tests/kernels/ops/conv_reference.h"

// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.

namespace sluice::test {
namespace {

TEST(Loss, RandomShapes) {
  std::mt19937 engine(12);
  for (uint32_t round = 0; round < 150 && !testing::Test::HasFailure(); ++round) {
    const int64_t n = Draw(engine, {1, 2, 5}), classes = Draw(engine, {1, 3, 10}),
                  inner = Draw(engine, {1, 4, 6});
    const bool spatial = engine() % 2 == 0, softmax = engine() % 2 == 0, weighted = engine() % 2 == 0;
    const bool ignores = engine() % 2 == 0;
    const char* reduction = std::array<const char*, 3>{"none", "sum", "mean"}[engine() % 3];
    const int64_t d = spatial ? inner : 1;
    SCOPED_TRACE("round " + std::to_string(round) + " " + reduction);
    const Tensor x = Random(spatial ? Shape{n, classes, d} : Shape{n, classes}, round, 3);
    Tensor target(DataType::kInt64, spatial ? Shape{n, d} : Shape{n}), weights;
    for (int64_t& value : target.mutable_values<int64_t>()) value = static_cast<int64_t>(engine()) % classes;
    // One target that counts, so that the mean exists; the ignored number need be no class.
    const int64_t ignored = engine() % 2 == 0 ? -5 : (target.values<int64_t>()[0] + 1) % (classes + 1);
    if (ignores) target.mutable_values<int64_t>().back() = n * d > 1 ? ignored : target.values<int64_t>()[0];
    if (weighted) {
      weights = Random({classes}, round + 7);
      for (float& value : weights.mutable_values<float>()) value = std::abs(value) + 0.1f;
    }
    Attrs attrs = {{"reduction", std::string(reduction)}};
    if (ignores) attrs["ignore_index"] = ignored;

    std::vector<double> losses, log_prob(static_cast<size_t>(x.num_elements()));
    double sum = 0, weight_sum = 0;
    for (int64_t i = 0; i < n * d; ++i) {
      const auto index = [&](int64_t c) { return static_cast<size_t>((i / d * classes + c) * d + i % d); };
      double exps = 0;
      for (int64_t c = 0; c < classes; ++c) exps += std::exp(double{x.values<float>()[index(c)]});
      for (int64_t c = 0; c < classes; ++c) log_prob[index(c)] = x.values<float>()[index(c)] - std::log(exps);
      const int64_t t = target.values<int64_t>()[static_cast<size_t>(i)];
      if (ignores && t == ignored) {
        losses.push_back(0);
        continue;
      }
      const double w = weighted ? double{weights.values<float>()[static_cast<size_t>(t)]} : 1;
      losses.push_back(-w * (softmax ? log_prob[index(t)] : double{x.values<float>()[index(t)]}));
      sum += losses.back();
      weight_sum += w;
    }
    OpCase c{softmax ? "SoftmaxCrossEntropyLoss" : "NegativeLogLikelihoodLoss",
             13,
             attrs,
             {x, target, weights},
             softmax ? 2 : 1};
    const std::vector<Value> got = RunOp(c);
    if (reduction == std::string("none"))
      ExpectTensor(got[0], FloatTensor(target.shape(), losses));
    else
      ExpectTensor(got[0], FloatTensor({}, {reduction == std::string("sum") ? sum : sum / weight_sum}), 1e-5);
    if (softmax) ExpectTensor(got[1], FloatTensor(x.shape(), log_prob), 1e-5);
  }
}

TEST(Loss, Misuse) {
  const Tensor x = Random({2, 3}, 1);
  const auto refuse = [&](Attrs attrs, const Tensor& target, const Tensor& weight, const char* part) {
    ExpectRefused({"NegativeLogLikelihoodLoss", 13, std::move(attrs), {x, target, weight}}, part);
  };
  refuse({}, I({2}, {0, 3}), {}, "target is 3, expected at least 0 and less than 3");
  refuse({}, I({2}, {0, -1}), {}, "target is -1");
  refuse({}, I({3}, {0, 1, 2}), {}, "input 1 is [3], expected [2]");
  refuse({}, F({2}, {0, 1}), {}, "expected int32 or int64");
  refuse({}, I({2}, {0, 1}), F({2}, {0, 1}), "one weight for each of [3] classes");
  refuse({{"reduction", std::string("max")}}, I({2}, {0, 1}), {}, "reduction is 'max'");
}

}  // namespace
}  // namespace sluice::test
