#include "graph/late_products.h"

#include "graph/export.h"
#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

int CountProducts(const Graph& graph) {
  int count = 0;
  for (NodeId id : graph.TopologicalOrder()) count += IsLateProduct(graph, id);
  return count;
}

std::string Written(const Graph& graph, const LateFactors& factors = {}) {
  std::string bytes;
  ExportOptions options;
  options.factors = factors;
  ExportOnnx(
      graph,
      [&](std::span<const std::byte> part) {
        bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
      },
      options);
  return bytes;
}

TEST(LateProducts, AreFactorsAlongOneOfTheFirstTwoAxes) {
  const auto graph = ParseGraph(R"(
    x: float [3, 2]
    w = const [4, 3, 2, 2]  m = const [3, 5]
    rows = const [4, 1, 1, 1]  cols = const [1, 3, 1, 1]  taps = const [1, 1, 2, 2]  short = const [3, 1, 1]
    both = const [4, 3, 1, 1]  last = const [1, 5]  half = const float16 [4, 1, 1, 1]
    a = Mul(w, rows)  b = Mul(w, cols)  c = Mul(w, taps)  d = Mul(w, short)  e = Mul(w, both)
    f = Mul(m, last)  g = Mul(x, x)  h = Add(w, rows)  i = Mul(w, rows) + Relu  j = Mul(w, rows)
    k = Relu(a)  l = Relu(b)  n = Relu(f)
    return c, d, e, g, h, i, j, k, l, n)");
  for (const auto& [name, late] : std::map<std::string, bool>{{"a", true},
                                                              {"b", true},
                                                              {"c", false},
                                                              {"d", false},
                                                              {"e", false},
                                                              {"f", true},
                                                              {"g", false},
                                                              {"h", false},
                                                              {"i", false},
                                                              {"j", false}}) {
    for (NodeId id : graph->TopologicalOrder()) {
      if (graph->value(graph->node(id).outputs[0]).name != name) continue;
      EXPECT_EQ(IsLateProduct(*graph, id), late) << name;
    }
  }
}

// More than a piece, which ends in the middle of a channel.
TEST(LateProducts, WrittenAsIfTheyWereComputed) {
  const auto late = ParseGraph(R"(
    x: float [1, 601, 3, 3]  u: float [1, 7, 3, 3]
    w = const [97, 601, 3, 3]  s = const [97, 1, 1, 1]  v = const [97, 7, 3, 3]  t = const [1, 7, 1, 1]
    p = Mul(w, s)  q = Mul(v, t)
    c = Conv(x, p)  d = Conv(u, q)  z = Add(c, d)
    return z)");
  const auto computed = late->Clone();
  ComputeLateProducts(*computed);
  EXPECT_EQ(CountProducts(*late), 2);
  EXPECT_EQ(CountProducts(*computed), 0);
  ExpectSameResults(*late, *computed, 0);
  const LateFactors factors = TakeLateProducts(*late);
  EXPECT_EQ(factors.size(), 2u);
  EXPECT_TRUE(Written(*late, factors) == Written(*computed));
}

TEST(LateProducts, WeightsThatOthersReadStay) {
  const auto late = ParseGraph(R"(
    x: float [1, 3, 4, 4]
    w = const [3, 3, 1, 1]  s = const [3, 1, 1, 1]
    p = Mul(w, s)
    c = Conv(x, p)  y = Conv(c, w)
    return y)");
  const auto computed = late->Clone();
  ComputeLateProducts(*computed);
  ExpectSameResults(*late, *computed, 0);
  const LateFactors factors = TakeLateProducts(*late);
  EXPECT_TRUE(Written(*late, factors) == Written(*computed));
}

// Small ones may be what other passes look for.
TEST(LateProducts, LargeOnesAreNotFoldedAsConstants) {
  const auto graph = ParseGraph(R"(
    x: float [1, 600, 2, 2]
    w = const [600, 600, 1, 1]  s = const [600, 1, 1, 1]  b = const [1, 600]  f = const [1, 600]
    p = Mul(w, s)  q = Mul(b, f)
    c = Conv(x, p)  r = Reshape(c, [4, 600])  y = Add(r, q)
    return y)");
  const auto source = graph->Clone();
  PassContext ctx = MakeContext("fold-constants");
  ctx.late_products = true;
  EXPECT_TRUE(kFoldConstants.run(*graph, ctx));
  EXPECT_EQ(CountProducts(*graph), 1);
  ExpectSameResults(*source, *graph, 0);
  ctx.late_products = false;
  EXPECT_TRUE(kFoldConstants.run(*graph, ctx));
  EXPECT_EQ(CountProducts(*graph), 0);
}

struct Folding {
  const char* text;
  int products;
};

// What folding leaves is what it would have computed, but for the rounding of the factors.
TEST(LateProducts, OfFolding) {
  const std::string norm = "s = const [4]  t = const [4]  m = const [4]  v = const [4] {0.5, 1, 2, 3}\n";
  for (const Folding& folding : std::vector<Folding>{
           {R"(x: float [2, 3, 8, 8]  w = const [4, 3, 3, 3]
               c = Conv(x, w)  y = BatchNormalization(c, s, t, m, v)  return y)",
            1},
           // Twice into the same weights.
           {R"(x: float [2, 3, 8, 8]  w = const [4, 3, 3, 3]  f = const [4, 1, 1]
               c = Conv(x, w)  n = BatchNormalization(c, s, t, m, v)  y = Mul(n, f)  return y)",
            1},
           {R"(x: float [2, 6, 8, 8]  w = const [4, 3, 3, 3]
               c = Conv(x, w) {group: 2}  y = BatchNormalization(c, s, t, m, v)  return y)",
            1},
           {R"(x: float [2, 3, 8, 8]  w = const [3, 4, 3, 3]
               c = ConvTranspose(x, w)  y = BatchNormalization(c, s, t, m, v)  return y)",
            1},
           // Before: a shift as well, without padding.
           {R"(x: float [2, 4, 8, 8]  w = const [5, 4, 3, 3]
               n = BatchNormalization(x, s, t, m, v)  y = Conv(n, w)  return y)",
            1},
           {R"(x: float [7, 5]  w = const [5, 4]  f = const [4]  y = MatMul(x, w)  z = Mul(y, f)  return z)",
            1},
           // Along both axes and with the group: computed.
           {R"(x: float [2, 4, 8, 8]  w = const [4, 4, 1, 1]  f = const [4, 1, 1]
               n = BatchNormalization(x, s, t, m, v)  c = Conv(n, w)  y = Mul(c, f)  return y)",
            0},
           {R"(x: float [2, 4, 8, 8]  w = const [6, 2, 3, 3]
               n = BatchNormalization(x, s, t, m, v)  y = Conv(n, w) {group: 2}  return y)",
            0},
           {R"(x: float16 [2, 3, 8, 8]  w = const float16 [4, 3, 3, 3]  f = const float16 [4, 1, 1]
               c = Conv(x, w)  y = Mul(c, f)  return y)",
            0}}) {
    const std::string text = norm + folding.text;
    SCOPED_TRACE(text);
    const auto source = ParseGraph(text);
    const auto late = source->Clone();
    PassContext ctx = MakeContext("fold-affine");
    ctx.late_products = true;
    EXPECT_TRUE(kFoldAffine.run(*late, ctx));
    late->Compact();
    Verify(*late);
    EXPECT_EQ(CountProducts(*late), folding.products);
    EXPECT_EQ(static_cast<int>(late->num_nodes()), 1 + folding.products);
    const bool half = source->value(source->inputs[0]).type.dtype == DataType::kFloat16;
    ExpectSameResults(*source, *late, half ? 4e-3 : 4e-6);
    const auto computed = late->Clone();
    ComputeLateProducts(*computed);
    EXPECT_EQ(computed->num_nodes(), 1u);
    ExpectSameResults(*late, *computed, 0);
  }
}

}  // namespace
}  // namespace sluice::test
