#include "graph/edit/edits.h"

#include "graph/builder.h"
#include "graph/export.h"
#include "graph/opset/convert_opset.h"
#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

ValueId Named(const Graph& graph, const std::string& name) {
  for (size_t i = 0; i < graph.num_values(); ++i) {
    if (graph.value(static_cast<ValueId>(i)).name == name) return static_cast<ValueId>(i);
  }
  return ValueId::kNone;
}

template <typename Fn>
void ExpectError(Fn fn, const std::vector<std::string>& parts) {
  try {
    fn();
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
}

void ExpectExtract(const std::string& before, const std::vector<std::string>& from,
                   const std::vector<std::string>& to, const std::string& after) {
  const auto graph = ParseGraph(before);
  ExtractSubgraph(*graph, from, to);
  Verify(*graph);
  EXPECT_EQ(PrintGraph(*graph), PrintGraph(*ParseGraph(after)));
}

const std::string kChain =
    "x: float [2, 3]\n z: float [2, 3]\n a = Relu(x)\n b = Neg(a)\n c = Add(b, z)\n d = Abs(b)\n return c, d";

TEST(Extract, KeepsWhatLiesBetween) {
  ExpectExtract(kChain, {"a"}, {"d"}, "a: float [2, 3]\n b = Neg(a)\n d = Abs(b)\n return d");
  ExpectExtract(kChain, {"b", "z"}, {"c"}, "b: float [2, 3]\n z: float [2, 3]\n c = Add(b, z)\n return c");
  ExpectExtract(kChain, {}, {"b"}, "x: float [2, 3]\n a = Relu(x)\n b = Neg(a)\n return b");
  ExpectExtract(kChain, {"b", "z"}, {},
                "b: float [2, 3]\n z: float [2, 3]\n c = Add(b, z)\n d = Abs(b)\n return c, d");
}

TEST(Extract, MakesConstantsInputs) {
  ExpectExtract("x: float [2]\n w = const [2]\n y = Mul(x, w)\n return y", {"x", "w"}, {"y"},
                "x: float [2]\n w: float [2]\n y = Mul(x, w)\n return y");
}

TEST(Extract, RefusesWhatIsNotBetween) {
  const auto extract = [](std::vector<std::string> from, std::vector<std::string> to) {
    ExtractSubgraph(*ParseGraph(kChain), from, to);
  };
  ExpectError([&] { extract({"q"}, {"c"}); }, {"no value 'q'"});
  ExpectError([&] { extract({"a"}, {"c"}); }, {"also needs input 'z'"});
  ExpectError([&] { extract({"c"}, {"d"}); }, {"also needs input 'x'"});
  ExpectError([&] { extract({"x", "z"}, {"d"}); }, {"nothing that is asked for needs value 'z'"});
  ExpectError([&] { extract({"a", "a"}, {"d"}); }, {"'a' is named twice"});
}

TEST(InputShapes, FixSizesAndForgetWhatFollowed) {
  const auto graph = ParseGraph("x: float [N, 3, ?, ?]\n y = Relu(x)\n return y");
  SetInputShapes(*graph, {{"x", {1, 3, 8, -1}}});
  InferShapes(*graph);
  EXPECT_EQ(ToString(graph->value(graph->outputs[0]).type.shape), "[1, 3, 8, ?]");
  ExpectError([&] { SetInputShapes(*graph, {{"z", {1}}}); }, {"input 'z'"});
}

// The model's own spelling becomes one node, of the graph's opset once that is converted.
void ExpectLeaky(const std::string& body, int64_t count, const std::string& after) {
  SCOPED_TRACE(body);
  const std::string head = "opset 13\n x: float [2, 3, 4, 4]\n ", tail = "\n return y";
  const auto source = ParseGraph(head + body + tail);
  const auto graph = source->Clone();
  PassContext ctx = MakeContext("leaky");
  EXPECT_EQ(SpellLeakyRelu(*graph, ctx), count);
  ConvertOpset(*graph, 13, ctx);
  Verify(*graph);
  EXPECT_EQ(PrintGraph(*graph), PrintGraph(*ParseGraph(head + after + tail)));
  ExpectSameResults(*source, *graph);
}

TEST(Leaky, EverySpelling) {
  const std::string leaky = "y = LeakyRelu(x) {alpha: 0.1}";
  ExpectLeaky("m = Mul(x, 0.1)\n y = Max(x, m)", 1, leaky);
  ExpectLeaky("s = const [1] {0.1}\n y = PRelu(x, s)", 1, leaky);
  ExpectLeaky("g = Greater(x, 0)\n m = Mul(x, 0.1)\n y = Where(g, x, m)", 1, leaky);
  ExpectLeaky("p = Relu(x)\n n = Neg(x)\n q = Relu(n)\n m = Mul(q, 0.1)\n y = Sub(p, m)", 1, leaky);
  ExpectLeaky("a = Abs(x)\n b = Mul(a, 0.45)\n c = Mul(x, 0.55)\n y = Add(b, c)", 1, leaky);
  ExpectLeaky("p = Clip(x, 0)\n n = Clip(x, _, 0)\n m = Mul(n, 0.1)\n y = Add(p, m)", 1, leaky);
}

TEST(Leaky, LeavesTheRest) {
  ExpectLeaky("y = LeakyRelu(x) {alpha: 0.1}", 0, "y = LeakyRelu(x) {alpha: 0.1}");
  ExpectLeaky("s = Sigmoid(x)\n y = Mul(x, s)", 0, "s = Sigmoid(x)\n y = Mul(x, s)");
  ExpectLeaky("s = const [3, 1, 1]\n y = PRelu(x, s)", 0, "s = const [3, 1, 1]\n y = PRelu(x, s)");
}

TEST(Leaky, RelusGetASlope) {
  const auto graph = ParseGraph("x: float [2, 3]\n a = Relu(x)\n b = Tanh(a)\n y = Relu(b)\n return y");
  EXPECT_EQ(ReluToLeaky(*graph, 0.2f), 2);
  EXPECT_EQ(PrintGraph(*graph),
            PrintGraph(*ParseGraph("x: float [2, 3]\n a = LeakyRelu(x) {alpha: 0.2}\n b = Tanh(a)\n"
                                   "y = LeakyRelu(b) {alpha: 0.2}\n return y")));
}

TEST(HalfWeights, AreStoredAndCastBack) {
  const auto source = ParseGraph(
      "x: float [2, 16]\n w = const [16, 8]\n b = const [8]\n m = MatMul(x, w)\n"
      "y = Add(m, b)\n return y");
  const auto graph = source->Clone();
  const PassContext ctx = MakeContext("half");
  const HalfWeights result = StoreWeightsAsHalf(*graph, ctx);
  EXPECT_EQ(result.stored, 1);  // the bias is short
  graph->Compact();
  Verify(*graph);
  EXPECT_EQ(graph->value(Named(*graph, "w")).constant.dtype(), DataType::kFloat16);
  EXPECT_EQ(graph->num_nodes(), 3u);
  ExpectSameResults(*source, *graph, 1e-2);
}

TEST(HalfWeights, StayWhereTheyWouldBecomeInfinite) {
  const auto graph = ParseGraph("x: float [2, 64]\n w = const [64]\n y = Mul(x, w)\n return y");
  graph->value(Named(*graph, "w")).constant.mutable_values<float>()[5] = 1e6f;
  const HalfWeights result = StoreWeightsAsHalf(*graph, MakeContext("half"));
  EXPECT_EQ(result.stored, 0);
  EXPECT_EQ(result.kept, std::vector<std::string>{"w"});
}

TEST(Strip, ShortensNamesAndDropsWhatNobodyUses) {
  const auto graph = ParseGraph(
      "x: float [2]\n long_name = Relu(x)\n unused = Neg(x)\n w = const [2]\n"
      "y = Add(long_name, 1)\n return y");
  graph->doc = "for people";
  Strip(*graph);
  Verify(*graph);
  EXPECT_EQ(graph->num_nodes(), 2u);
  EXPECT_EQ(graph->doc, "");
  EXPECT_EQ(graph->value(graph->inputs[0]).name, "x");
  EXPECT_EQ(graph->value(graph->outputs[0]).name, "y");
  EXPECT_EQ(Named(*graph, "long_name"), ValueId::kNone);
  EXPECT_EQ(Named(*graph, "w"), ValueId::kNone);
}

void ExpectOptimized(const std::string& before, int64_t opset, const std::string& after) {
  SCOPED_TRACE(before);
  const auto source = ParseGraph(before);
  const auto graph = source->Clone();
  PassContext ctx = MakeContext("optimize");
  OptimizeForExport(*graph, {}, std::max<int64_t>(opset, 13), ctx);
  ConvertOpset(*graph, opset, ctx);
  Verify(*graph);
  for (size_t i = 0; i < source->outputs.size(); ++i) {
    EXPECT_EQ(graph->value(graph->outputs[i]).name, source->value(source->outputs[i]).name);
  }
  EXPECT_EQ(PrintGraph(*graph), PrintGraph(*ParseGraph(after)));
  ExpectSameResults(*source, *graph);
  EXPECT_NO_THROW(ExportOnnxBytes(*graph));
}

TEST(Optimize, FusedOperatorsAreWrittenAsStandardOnes) {
  const std::string head = "x: float [1, 2, 4, 4]\n w = const [2, 2, 1, 1]\n ";
  ExpectOptimized("opset 13\n " + head + "c = Conv(x, w)\n m = Mul(c, 0.1)\n y = Max(c, m)\n return y", 13,
                  "opset 13\n " + head + "c = Conv(x, w)\n y = LeakyRelu(c) {alpha: 0.1}\n return y");
  ExpectOptimized("opset 9\n " + head + "c = Conv(x, w)\n s = Sigmoid(c)\n y = Mul(c, s)\n return y", 9,
                  "opset 9\n " + head + "c = Conv(x, w)\n s = Sigmoid(c)\n y = Mul(c, s)\n return y");
  ExpectOptimized("opset 13\n x: float [2, 3]\n s = Sigmoid(x)\n y = Mul(x, s)\n return y", 13,
                  "opset 13\n x: float [2, 3]\n s = Sigmoid(x)\n y = Mul(x, s)\n return y");
}

TEST(Optimize, KeepsTheNamesOfOutputs) {
  ExpectOptimized(
      "x: float [2]\n a = Relu(x)\n y = Identity(a)\n z = Identity(a)\n q = Identity(x)\n return y, z, q", 17,
      "x: float [2]\n z = Relu(x)\n y = Identity(z)\n q = Identity(x)\n return y, z, q");
}

TEST(Optimize, NumbersHaveTheTypeOfWhatTheyMeet) {
  const auto graph = ParseGraph(
      "opset 13\n x: float16 [1, 2, 4, 4]\n w = const float16 [2, 2, 1, 1]\n"
      "t = const float16 {3}\n l = const float16 {0}\n h = const float16 {6}\n"
      "s = const float16 {0.16666}\n c = Conv(x, w)\n a = Add(c, t)\n b = Clip(a, l, h)\n"
      "m = Mul(c, b)\n y = Mul(m, s)\n return y");
  PassContext ctx = MakeContext("optimize");
  OptimizeForExport(*graph, {}, 13, ctx);
  ConvertOpset(*graph, 13, ctx);
  for (size_t i = 0; i < graph->num_values(); ++i) {
    EXPECT_EQ(graph->value(static_cast<ValueId>(i)).type.dtype, DataType::kFloat16)
        << graph->value(static_cast<ValueId>(i)).name;
  }
}

TEST(Names, AFusedValueIsCalledLikeTheEndOfWhatItHolds) {
  const auto graph = ParseGraph(
      "x: float [1, 2, 4, 4]\n w = const [2, 2, 1, 1]\n c = Conv(x, w)\n a = Add(c, 1)\n"
      "r = LeakyRelu(a)\n p = MaxPool(r) {kernel_shape: [2, 2]}\n t = Tanh(p)\n q = Conv(t, w)\n y = "
      "Relu(q)\n return y");
  const auto plain = graph->Clone();
  PassContext ctx = MakeContext("fuse");
  RunPasses(*graph, {}, ctx);
  // Values of one name hold the same before and after.
  graph->outputs.clear();
  plain->outputs.clear();
  for (size_t i = 0; i < graph->num_values(); ++i) {
    const auto id = static_cast<ValueId>(i);
    const ValueId before = Named(*plain, graph->value(id).name);
    if (graph->value(id).producer == NodeId::kNone || before == ValueId::kNone) continue;
    graph->outputs.push_back(id);
    plain->outputs.push_back(before);
  }
  EXPECT_GE(graph->outputs.size(), 2u);
  ExpectSameResults(*plain, *graph);
}

}  // namespace
}  // namespace sluice::test
