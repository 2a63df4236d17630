#include <cmath>

#include "tests/kernels/op_test_util.h"

// FlexAttention of ai.onnx.preview, with mods that a test makes, against the definition in double.

namespace sluice::test {
namespace {

constexpr int64_t kBatch = 2, kHeads = 4, kKvHeads = 2, kQueries = 3, kKeys = 5, kSize = 4, kValueSize = 6;

// What a mod does to the element of a query and a key.
using Mod = std::function<double(double x, int64_t query, int64_t key)>;

class ModRunner : public SubgraphRunner {
 public:
  explicit ModRunner(Mod mod) : mod_(std::move(mod)) {}
  std::vector<Value> Run(std::vector<Value> inputs) const override {
    Tensor y(DataType::kFloat, inputs.at(0).tensor().shape());
    for (int64_t i = 0; i < y.num_elements(); ++i)
      y.mutable_values<float>()[static_cast<size_t>(i)] = static_cast<float>(
          mod_(static_cast<double>(inputs[0].tensor().values<float>()[static_cast<size_t>(i)]),
               i / kKeys % kQueries, i % kKeys));
    return {y};
  }

 private:
  Mod mod_;
};

std::shared_ptr<Graph> OneToOne() {
  auto graph = std::make_shared<Graph>();
  graph->inputs.push_back(graph->AddValue("scores"));
  graph->outputs.push_back(graph->AddValue("modified"));
  return graph;
}

float At(const Tensor& x, int64_t b, int64_t h, int64_t i, int64_t p) {
  const Shape& s = x.shape();
  return x.values<float>()[static_cast<size_t>(((b * s[1] + h) * s[2] + i) * s[3] + p)];
}

void Check(std::map<std::string, Mod> mods, float scale = 0) {
  OpCase c{"FlexAttention",
           1,
           {},
           {Random({kBatch, kHeads, kQueries, kSize}, 1), Random({kBatch, kKvHeads, kKeys, kSize}, 2),
            Random({kBatch, kKvHeads, kKeys, kValueSize}, 3)},
           1,
           "ai.onnx.preview"};
  std::map<std::shared_ptr<Graph>, Mod> by_graph;
  for (const auto& [name, mod] : mods) {
    const auto graph = OneToOne();
    c.attrs[name] = graph;
    by_graph[graph] = mod;
  }
  if (scale != 0) c.attrs["scale"] = scale;
  const Node node = MakeNode(c);
  const Value got = Evaluate(node, c.inputs, [&](const std::shared_ptr<Graph>& graph) {
    return std::make_shared<ModRunner>(by_graph.at(graph));
  })[0];

  const auto modify = [&](const char* name, double x, int64_t i, int64_t j) {
    return mods.contains(name) ? mods.at(name)(x, i, j) : x;
  };
  Tensor want(DataType::kFloat, {kBatch, kHeads, kQueries, kValueSize});
  float* to = want.mutable_values<float>().data();
  for (int64_t b = 0; b < kBatch; ++b)
    for (int64_t h = 0; h < kHeads; ++h)
      for (int64_t i = 0; i < kQueries; ++i) {
        double scores[kKeys], sum = 0;
        for (int64_t j = 0; j < kKeys; ++j) {
          double x = 0;
          for (int64_t p = 0; p < kSize; ++p)
            x += static_cast<double>(At(c.inputs[0].tensor(), b, h, i, p)) *
                 static_cast<double>(At(c.inputs[1].tensor(), b, h / 2, j, p));
          x *= scale != 0 ? static_cast<double>(scale) : 1 / std::sqrt(static_cast<double>(kSize));
          sum += scores[j] = std::exp(modify("mask_mod", modify("score_mod", x, i, j), i, j));
        }
        for (int64_t p = 0; p < kValueSize; ++p) {
          double y = 0;
          for (int64_t j = 0; j < kKeys; ++j)
            y += modify("prob_mod", scores[j] / sum, i, j) *
                 static_cast<double>(At(c.inputs[2].tensor(), b, h / 2, j, p));
          *to++ = static_cast<float>(y);
        }
      }
  ExpectTensor(got, want, 1e-5, 1e-5);
}

TEST(FlexAttention, FollowsTheDefinition) {
  Check({});
  Check({}, 0.1f);
  const Mod cap = [](double x, int64_t, int64_t) { return 0.3 * std::tanh(x / 0.3); };
  const Mod causal = [](double x, int64_t i, int64_t j) { return j <= i ? x : -INFINITY; };
  const Mod halve = [](double x, int64_t, int64_t) { return x / 2; };
  Check({{"score_mod", cap}});
  Check({{"mask_mod", causal}});
  Check({{"prob_mod", halve}});
  Check({{"score_mod", cap}, {"mask_mod", causal}, {"prob_mod", halve}}, 0.7f);
}

TEST(FlexAttention, Refuses) {
  const Tensor q = Random({1, 3, 2, 4}, 1), k = Random({1, 2, 2, 4}, 2);
  ExpectRefused({"FlexAttention", 1, {}, {q, k, k}, 1, "ai.onnx.preview"}, "q has 3 heads");
  ExpectRefused({"FlexAttention", 1, {}, {Random({1, 2, 4}, 1), k, k}, 1, "ai.onnx.preview"}, "expected 4");
}

}  // namespace
}  // namespace sluice::test
