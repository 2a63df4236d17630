#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

const std::string kNorm = "s = const [4]  t = const [4]  m = const [4]  v = const [4] {0.5, 1, 2, 3}\n";

TEST(FoldAffine, BatchNormalizationIntoConv) {
  ExpectRewrite(kFoldAffine, kNorm + R"(
    x: float [2, 3, 8, 8]
    w = const [4, 3, 3, 3]
    c = Conv(x, w) {pads: [1, 1, 1, 1]}
    y = BatchNormalization(c, s, t, m, v)
    return y)",
                R"(
    x: float [2, 3, 8, 8]
    w = const [4, 3, 3, 3]  b = const [4]
    y = Conv(x, w, b) {pads: [1, 1, 1, 1]}
    return y)");
}

// Weights of several pieces, taken from the last to the first.
TEST(FoldAffine, PiecesComeInAnyOrder) {
  const std::string text = R"(
    x: float [1, 600, 2, 2]
    w = const [1000, 600, 1, 1]  s = const [1000]
    c = Conv(x, w)  f = Reshape(s, [1000, 1, 1])
    y = Mul(c, f)
    return y)";
  const auto fold = [&](bool in_pieces) {
    auto graph = ParseGraph(text);
    PassContext ctx = MakeContext("fold-affine");
    int64_t most = 0;
    if (in_pieces) {
      ctx.for_each = [&](int64_t count, const std::function<void(int64_t)>& fn) {
        most = std::max(most, count);
        for (int64_t i = count; i-- > 0;) fn(i);
      };
    }
    kFoldConstants.run(*graph, ctx);
    EXPECT_TRUE(kFoldAffine.run(*graph, ctx));
    EXPECT_EQ(most > 1, in_pieces);
    for (NodeId id : graph->TopologicalOrder()) {
      if (graph->node(id).op_type == "Conv") return graph->value(graph->node(id).inputs[1]).constant;
    }
    return Tensor();
  };
  const Tensor whole = fold(false), pieces = fold(true);
  ASSERT_EQ(whole.shape(), (Shape{1000, 600, 1, 1}));
  const auto a = whole.values<float>(), b = pieces.values<float>();
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
}

TEST(FoldAffine, BatchNormalizationIntoGroupedAndTransposedConv) {
  ExpectRewrite(kFoldAffine, kNorm + R"(
    x: float [N, 6, 5, 5]
    w = const [4, 3, 1, 1]  b = const [4]
    c = Conv(x, w, b) {group: 2}
    y = BatchNormalization(c, s, t, m, v) {epsilon: 0.01}
    return y)",
                R"(
    x: float [N, 6, 5, 5]
    w = const [4, 3, 1, 1]  b = const [4]
    y = Conv(x, w, b) {group: 2}
    return y)");
  ExpectRewrite(kFoldAffine, kNorm + R"(
    x: float [2, 6, 5, 5]
    w = const [6, 2, 3, 3]
    c = ConvTranspose(x, w) {group: 2, strides: [2, 2]}
    y = BatchNormalization(c, s, t, m, v)
    return y)",
                R"(
    x: float [2, 6, 5, 5]
    w = const [6, 2, 3, 3]  b = const [4]
    y = ConvTranspose(x, w, b) {group: 2, strides: [2, 2]}
    return y)");
}

TEST(FoldAffine, IntoGemmAndMatMul) {
  ExpectRewrite(kFoldAffine, kNorm + R"(
    x: float [2, 3]
    w = const [4, 3]
    c = Gemm(x, w) {transB: 1}
    y = BatchNormalization(c, s, t, m, v)
    return y)",
                R"(
    x: float [2, 3]
    w = const [4, 3]  b = const [4]
    y = Gemm(x, w, b) {transB: 1}
    return y)");
  ExpectRewrite(kFoldAffine, R"(
    x: float [2, 5, 3]
    w = const [3, 4]  k = const [4]
    c = MatMul(x, w)
    y = Mul(k, c)
    return y)",
                R"(
    x: float [2, 5, 3]
    w = const [3, 4]
    y = MatMul(x, w)
    return y)");
  ExpectKept(kFoldAffine, R"(
    x: float [2, 5, 3]
    w = const [3, 4]  k = const [4]
    c = MatMul(x, w)
    y = Add(k, c)
    return y)",
             "no bias");
}

TEST(FoldAffine, NumbersAndChannels) {
  ExpectRewrite(kFoldAffine, R"(
    x: float [2, 3, 8, 8]
    w = const [4, 3, 3, 3]  k = const [4, 1, 1]
    c = Conv(x, w)
    d = Mul(c, k)
    e = Sub(1.5, d)
    f = Div(e, 2)
    y = Add(f, k)
    return y)",
                R"(
    x: float [2, 3, 8, 8]
    w = const [4, 3, 3, 3]  b = const [4]
    y = Conv(x, w, b)
    return y)");
}

TEST(FoldAffine, InFrontOfConv) {
  ExpectRewrite(kFoldAffine, R"(
    x: float [2, 4, 8, 8]
    w = const [6, 2, 3, 3]  k = const [1, 4, 1, 1] {1, 2, -3, 0.5}
    a = Sub(x, k)
    b = Div(a, k)
    y = Conv(b, w) {group: 2}
    return y)",
                R"(
    x: float [2, 4, 8, 8]
    w = const [6, 2, 3, 3]  b = const [6]
    y = Conv(x, w, b) {group: 2}
    return y)");
  ExpectRewrite(kFoldAffine, R"(
    x: float [2, 4, 8, 8]
    w = const [4, 2, 3, 3]
    a = Mul(x, 0.25)
    y = ConvTranspose(a, w) {group: 2}
    return y)",
                R"(
    x: float [2, 4, 8, 8]
    w = const [4, 2, 3, 3]  b = const [4]
    y = ConvTranspose(x, w, b) {group: 2}
    return y)");
}

TEST(FoldAffine, ShiftInFrontOfPaddingStays) {
  ExpectKept(kFoldAffine, R"(
    x: float [2, 4, 8, 8]
    w = const [6, 4, 3, 3]
    a = Add(x, 0.25)
    y = Conv(a, w) {pads: [1, 1, 1, 1]}
    return y)",
             "pads its input with zeros");
}

TEST(FoldAffine, GrowingAndSharedStay) {
  ExpectKept(kFoldAffine, R"(
    x: float [2, 1, 8, 8]
    w = const [6, 3, 3, 3]  k = const [3, 1, 1]
    a = Mul(x, k)
    y = Conv(a, w)
    return y)");
  ExpectKept(kFoldAffine, R"(
    x: float [2, 3, 8, 8]
    w = const [4, 3, 3, 3]
    c = Conv(x, w)
    y = Mul(c, 2)
    return y, c)");
  ExpectKept(kFoldAffine, R"(
    x: float [2, 3, 8, 8]
    w = const [4, 3, 3, 3]  k = const [1, 1, 6, 6]
    c = Conv(x, w)
    y = Mul(c, k)
    return y)");
}

TEST(FoldAffine, DivisionByZeroStays) {
  ExpectKept(kFoldAffine, R"(
    x: float [2, 3, 8, 8]
    w = const [4, 3, 3, 3]
    c = Conv(x, w)
    y = Div(c, 0)
    return y)",
             "not finite");
}

}  // namespace
}  // namespace sluice::test
