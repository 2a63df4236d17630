#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

TEST(FoldConstants, ComputesChains) {
  ExpectRewrite(kFoldConstants, R"(
    x: float [2, 3]
    c = const [3, 2]
    d = Transpose(c)
    e = Concat(d, d) {axis: 0}
    y = Concat(x, e) {axis: 0}
    return y)",
                R"(
    x: float [2, 3]
    e = const [4, 3]
    y = Concat(x, e) {axis: 0}
    return y)");
}

TEST(FoldConstants, ComputesShapesThatAreKnown) {
  ExpectRewrite(kFoldConstants, R"(
    x: float [2, 3, 4]
    s = Shape(x)
    i = const int64 [1] {0}
    n = Gather(s, i)
    m = Concat(n, [-1]) {axis: 0}
    y = Reshape(x, m)
    return y)",
                R"(
    x: float [2, 3, 4]
    y = Reshape(x, [2, -1])
    return y)");
  ExpectKept(kFoldConstants, R"(
    x: float [N, 3, 4]
    s = Shape(x)
    y = Reshape(x, s)
    return y)");
}

TEST(FoldConstants, DoesNotLetSmallModelsGrow) {
  ExpectKept(kFoldConstants, R"(
    x: float [2, 3]
    big = Expand(1.0, [1000, 1000])
    y = Concat(x, x) {axis: 0}
    return y, big)",
             "too large");
}

TEST(FoldConstants, LearnsSizes) {
  const auto graph = ParseGraph(R"(
    x: float [6, 2]
    a = Concat([3], [4]) {axis: 0}
    y = Reshape(x, a)
    return y)");
  PassContext ctx = MakeContext("fold-constants");
  EXPECT_TRUE(kFoldConstants.run(*graph, ctx));
  EXPECT_EQ(ToString(graph->value(graph->outputs[0]).type), "float [3, 4]");
}

}  // namespace
}  // namespace sluice::test
