#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

TEST(RemoveDead, DropsChainsThatNobodyUses) {
  ExpectRewrite(kRemoveDead, R"(
    x: float [2, 4]
    a = Transpose(x)
    b = Transpose(a)
    y = Identity(x)
    return y)",
                R"(
    x: float [2, 4]
    y = Identity(x)
    return y)");
}

TEST(RemoveDead, KeepsWhatIsUsedOrAnOutput) {
  ExpectKept(kRemoveDead, R"(
    x: float [2, 4]
    a, b = Split(x) {axis: 1}
    y = Transpose(a)
    return y, b)");
}

// Split must give all its parts even if nobody uses the last.
TEST(RemoveDead, KeepsTheNumberOfVariadicOutputs) {
  const auto graph = ParseGraph(R"(
    x: float [2, 4]
    a, b = Split(x) {axis: 1}
    return a)");
  PassContext ctx = MakeContext("remove-dead");
  kRemoveDead.run(*graph, ctx);
  EXPECT_EQ(graph->node(graph->TopologicalOrder()[0]).outputs.size(), 2u);
  ExpectSameResults(*graph, *graph);
}

}  // namespace
}  // namespace sluice::test
