#include "tools/graph_match.h"

#include <gtest/gtest.h>

#include "tests/graph/passes/graph_text.h"

namespace sluice::tools {
namespace {

using test::ParseGraph;

std::vector<std::string> PairsOf(const Graph& a, const Graph& b, const GraphMatch& match) {
  std::vector<std::string> pairs;
  for (const auto& [left, right, differences] : match.pairs) {
    pairs.push_back(a.value(a.node(left).outputs[0]).name + " " + b.value(b.node(right).outputs[0]).name);
  }
  return pairs;
}

TEST(GraphMatch, EqualGraphs) {
  const auto graph = ParseGraph("x: float [1, 8]\n y = Relu(x)\n z = Tanh(y)\n return z");
  const GraphMatch match = MatchGraphs(*graph, *graph->Clone());
  ASSERT_EQ(match.pairs.size(), 2u);
  EXPECT_TRUE(match.pairs[0].differences.empty());
  EXPECT_TRUE(match.only_a.empty());
  EXPECT_TRUE(match.only_b.empty());
}

TEST(GraphMatch, AlignsWhereNamesSayNothing) {
  const auto a = ParseGraph("x: float [1, 8]\n v1 = Relu(x)\n v2 = Tanh(v1)\n v3 = Sigmoid(v2)\n return v3");
  const auto b = ParseGraph(
      "x: float [1, 8]\n w1 = Relu(x)\n w2 = Exp(w1)\n w3 = Tanh(w2)\n w4 = Sigmoid(w3)\n return w4");
  const GraphMatch match = MatchGraphs(*a, *b);
  EXPECT_EQ(PairsOf(*a, *b, match), (std::vector<std::string>{"v1 w1", "v2 w3", "v3 w4"}));
  EXPECT_TRUE(match.only_a.empty());
  ASSERT_EQ(match.only_b.size(), 1u);
  EXPECT_EQ(b->node(match.only_b[0]).op_type, "Exp");
}

TEST(GraphMatch, FindsNodesThatMoved) {
  const auto a = ParseGraph("x: float [1, 8]\n p = Relu(x)\n q = Tanh(x)\n r = Add(p, q)\n return r");
  const auto b = ParseGraph("x: float [1, 8]\n q = Tanh(x)\n p = Relu(x)\n r = Add(p, q)\n return r");
  const GraphMatch match = MatchGraphs(*a, *b);
  EXPECT_EQ(PairsOf(*a, *b, match), (std::vector<std::string>{"p p", "q q", "r r"}));
}

TEST(GraphMatch, TellsAttributesWeightsAndInputs) {
  const auto a = ParseGraph(
      "x: float [1, 8]\n c = const [2] {1, 2}\n s = Slice(x, [0], [4])\n"
      "y = LeakyRelu(s) {alpha: 0.5}\n z = Concat(y, y) {axis: 1}\n return z");
  const auto b = ParseGraph(
      "x: float [1, 8]\n s = Slice(x, [0], [6])\n"
      "y = LeakyRelu(s) {alpha: 0.25}\n z = Concat(y, y, y) {axis: 1}\n return z");
  const GraphMatch match = MatchGraphs(*a, *b);
  ASSERT_EQ(match.pairs.size(), 3u);
  ASSERT_EQ(match.pairs[0].differences.size(), 1u);
  EXPECT_NE(match.pairs[0].differences[0].find("values differ by up to 2"), std::string::npos)
      << match.pairs[0].differences[0];
  EXPECT_EQ(match.pairs[1].differences, std::vector<std::string>{"alpha 0.5, there 0.25"});
  EXPECT_EQ(match.pairs[2].differences, std::vector<std::string>{"2 inputs, there 3"});
}

TEST(GraphMatch, OfNothing) {
  const auto a = ParseGraph("x: float [1]\n return x");
  const auto b = ParseGraph("x: float [1]\n y = Relu(x)\n return y");
  EXPECT_EQ(MatchGraphs(*a, *b).only_b.size(), 1u);
  EXPECT_EQ(MatchGraphs(*b, *a).only_a.size(), 1u);
  EXPECT_TRUE(MatchGraphs(*a, *a).pairs.empty());
}

}  // namespace
}  // namespace sluice::tools
