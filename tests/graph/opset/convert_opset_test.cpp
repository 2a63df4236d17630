#include "graph/opset/convert_opset.h"

#include "graph/builder.h"
#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

int64_t OpsetOf(const Graph& graph) { return graph.opsets.at(""); }

// The graph `before` in the opset of `after` is that one and gives the same.
void ExpectConverted(const std::string& before, const std::string& after) {
  SCOPED_TRACE(before);
  const auto source = ParseGraph(before), want = ParseGraph(after);
  const auto got = source->Clone();
  const PassContext ctx = MakeContext("opset");
  ASSERT_NO_THROW(ConvertOpset(*got, OpsetOf(*want), ctx)) << before;
  got->Compact();
  Verify(*got);
  EXPECT_EQ(OpsetOf(*got), OpsetOf(*want));
  EXPECT_EQ(PrintGraph(*got), PrintGraph(*want));
  for (NodeId id : got->TopologicalOrder()) {
    const Node& node = got->node(id);
    EXPECT_EQ(node.since_version, FindOperator("", node.op_type, OpsetOf(*want)).since_version)
        << node.op_type;
  }
  ExpectSameResults(*source, *got);
}

void ExpectBothWays(const std::string& a, const std::string& b) {
  ExpectConverted(a, b);
  ExpectConverted(b, a);
}

// "opset N", the input x and the statements that give y.
std::string Model(int opset, const std::string& body, const std::string& shape = "[2, 3, 4, 4]") {
  return "opset " + std::to_string(opset) + "\n x: float " + shape + "\n " + body + "\n return y";
}

void ExpectRefused(const std::string& text, int64_t opset, const std::vector<std::string>& parts) {
  const auto graph = ParseGraph(text);
  const PassContext ctx = MakeContext("opset");
  try {
    ConvertOpset(*graph, opset, ctx);
    FAIL() << "not refused: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
}

TEST(ConvertOpset, AttributesBecomeInputsAndBack) {
  ExpectBothWays(Model(6, "y = Clip(x) {min: -1.0, max: 2.5}"), Model(11, "y = Clip(x, -1, 2.5)"));
  ExpectBothWays(Model(12, "y = Squeeze(x) {axes: [0]}", "[1, 3]"),
                 Model(13, "y = Squeeze(x, [0])", "[1, 3]"));
  ExpectBothWays(Model(12, "y = Unsqueeze(x) {axes: [0, 2]}"), Model(13, "y = Unsqueeze(x, [0, 2])"));
  ExpectBothWays(Model(12, "y = ReduceSum(x) {axes: [1], keepdims: 0}"),
                 Model(13, "y = ReduceSum(x, [1]) {keepdims: 0}"));
  ExpectBothWays(Model(13, "y = ReduceMean(x) {axes: [2, 3]}"), Model(18, "y = ReduceMean(x, [2, 3])"));
  ExpectBothWays(Model(10, "y = Pad(x) {pads: [0, 0, 1, 1, 0, 0, 1, 1], value: 2.0}"),
                 Model(11, "y = Pad(x, [0, 0, 1, 1, 0, 0, 1, 1], 2)"));
  ExpectBothWays(Model(9, "y = Slice(x) {starts: [1], ends: [3], axes: [2]}"),
                 Model(10, "y = Slice(x, [1], [3], [2])"));
  ExpectBothWays(Model(4, "y = Reshape(x) {shape: [2, -1]}"), Model(5, "y = Reshape(x, [2, -1])"));
  ExpectBothWays(Model(9, "y, i = TopK(x) {k: 2, axis: 3}"), Model(10, "y, i = TopK(x, [2]) {axis: 3}"));
  ExpectBothWays(Model(11, "y = Dropout(x) {ratio: 0.3}"), Model(12, "y = Dropout(x, 0.3)"));
  ExpectBothWays(Model(12, "a, b = Split(x) {axis: 1, split: [1, 2]}\n y = Concat(b, a) {axis: 1}"),
                 Model(13, "a, b = Split(x, [1, 2]) {axis: 1}\n y = Concat(b, a) {axis: 1}"));
}

TEST(ConvertOpset, ChangesPassOverSeveralVersions) {
  ExpectConverted(Model(2, "y = ReduceMean(x) {axes: [2, 3]}"), Model(21, "y = ReduceMean(x, [2, 3])"));
  ExpectConverted(Model(1, "y = Clip(x) {min: 0.0}"), Model(13, "y = Clip(x, 0)"));
  ExpectConverted(Model(18, "y = Pad(x, [1, 2], _, [3])"),
                  Model(2, "y = Pad(x) {pads: [0, 0, 0, 1, 0, 0, 0, 2]}"));
  ExpectConverted(Model(13, "y = ReduceSum(x, [-1])"), Model(9, "y = ReduceSum(x) {axes: [3]}"));
}

TEST(ConvertOpset, MasksThatOlderVersionsLeaveOpen) {
  ExpectConverted(Model(12, "d, m = Dropout(x, 0.3)\n c = Cast(m) {to: 1}\n y = Add(d, c)"),
                  Model(11, "d = Dropout(x) {ratio: 0.3}\n b = Cast(x) {to: 9}\n n = Not(b)\n m = Or(b, n)\n"
                            "c = Cast(m) {to: 1}\n y = Add(d, c)"));
}

TEST(ConvertOpset, PartsOfASplitAreCountedFrom18On) {
  ExpectBothWays(Model(13, "y, b = Split(x) {axis: 3}"),
                 Model(18, "y, b = Split(x) {axis: 3, num_outputs: 2}"));
  // The last part is smaller, which older versions must be told.
  ExpectConverted(Model(18, "y, b = Split(x) {axis: 1, num_outputs: 2}"),
                  Model(13, "y, b = Split(x, [2, 1]) {axis: 1}"));
  ExpectRefused(Model(18, "y, b = Split(x) {axis: 1, num_outputs: 2}", "[2, ?]"), 13,
                {"Split 'y'", "18", "13", "not known"});
}

TEST(ConvertOpset, LimitsThatAreComputedBecomeMaxAndMin) {
  ExpectConverted("opset 13\n x: float [2, 3]\n l: float []\n y = Clip(x, l)\n return y",
                  "opset 9\n x: float [2, 3]\n l: float []\n y = Max(x, l)\n return y");
}

TEST(ConvertOpset, NoAxesAtAll) {
  ExpectConverted(Model(18, "y = ReduceSum(x) {noop_with_empty_axes: 1}"), Model(11, "y = Identity(x)"));
  ExpectConverted(Model(18, "y = ReduceL2(x) {noop_with_empty_axes: 1}"), Model(11, "y = Abs(x)"));
  ExpectConverted(Model(18, "y = ReduceSum(x) {keepdims: 0}"), Model(11, "y = ReduceSum(x) {keepdims: 0}"));
}

TEST(ConvertOpset, SoftmaxOfAllAxesFromOneOn) {
  ExpectBothWays(Model(11, "y = Softmax(x) {axis: 3}"), Model(13, "y = Softmax(x) {axis: 3}"));
  ExpectConverted(Model(11, "y = Softmax(x)", "[2, 5, 1, 1]"),
                  Model(13, "y = Softmax(x) {axis: 1}", "[2, 5, 1, 1]"));
  ExpectConverted(
      Model(11, "y = LogSoftmax(x) {axis: 2}"),
      Model(13,
            "f = Flatten(x) {axis: 2}\n s = LogSoftmax(f) {axis: -1}\n h = Shape(x)\n y = Reshape(s, h)"));
  ExpectConverted(Model(13, "y = Hardmax(x) {axis: 1}"),
                  Model(12,
                        "t = Transpose(x) {perm: [0, 3, 2, 1]}\n h = Hardmax(t) {axis: 3}\n"
                        "y = Transpose(h) {perm: [0, 3, 2, 1]}"));
  ExpectConverted(Model(13, "y = Softmax(x)"), Model(1, "y = Softmax(x) {axis: 3}"));
}

TEST(ConvertOpset, UpsampleAndResize) {
  const std::string scales = "s = const [4] {1, 1, 2, 2}\n ";
  ExpectBothWays(Model(7, "y = Upsample(x) {scales: [1.0, 1.0, 2.0, 2.0]}"),
                 Model(9, scales + "y = Upsample(x, s)"));
  ExpectBothWays(Model(9, scales + "y = Upsample(x, s)"), Model(10, scales + "y = Resize(x, s)"));
  const std::string modes = " {coordinate_transformation_mode: asymmetric, nearest_mode: floor}";
  ExpectBothWays(Model(10, scales + "y = Resize(x, s)"),
                 Model(11, scales + "r = const [0] {}\n y = Resize(x, r, s)" + modes));
  ExpectConverted(
      Model(9, scales + "y = Upsample(x, s) {mode: linear}"),
      Model(13, scales + "y = Resize(x, _, s) {mode: linear, coordinate_transformation_mode: asymmetric}"));
  // The nearest centre of whole multiples is the same element.
  ExpectConverted(Model(13, scales + "y = Resize(x, _, s)"), Model(9, scales + "y = Upsample(x, s)"));
  ExpectConverted(Model(18, "s = const [2] {2, 2}\n y = Resize(x, _, s) {axes: [2, 3]}"),
                  Model(9, scales + "y = Upsample(x, s)"));
  ExpectConverted(Model(13, "y = Resize(x, _, _, [2, 3, 8, 8])"), Model(10, scales + "y = Resize(x, s)"));
  ExpectRefused(Model(13, scales + "y = Resize(x, _, s) {mode: linear}"), 10,
                {"Resize 'y'", "version 11", "opset 10", "half_pixel"});
  ExpectRefused(Model(18, scales + "y = Resize(x, _, s) {mode: linear, antialias: 1}"), 13, {"antialias"});
  ExpectRefused(Model(10, "s = const [4] {1, 1, 0.5, 0.5}\n y = Resize(x, s)"), 9, {"shrinks"});
}

TEST(ConvertOpset, OperandsAlignedByAnAxis) {
  ExpectConverted(
      "opset 6\n x: float [2, 3, 4, 4]\n b: float [3]\n y = Add(x, b) {axis: 1, broadcast: 1}\n return y",
      "opset 12\n x: float [2, 3, 4, 4]\n b: float [3]\n u = Unsqueeze(b) {axes: [1, 2]}\n"
      "y = Add(x, u)\n return y");
  ExpectBothWays(Model(6, "b = const [3]\n y = Mul(x, b) {axis: 1, broadcast: 1}"),
                 Model(7, "b = const [3, 1, 1]\n y = Mul(x, b)"));
  ExpectBothWays(Model(6, "y = Mul(x, 3) {broadcast: 1}"), Model(7, "y = Mul(x, 3)"));
  ExpectConverted(Model(7, "y = Add(3, x)"), Model(6, "y = Add(x, 3) {broadcast: 1}"));
  ExpectRefused(Model(7, "y = Sub(3, x)"), 6, {"Sub 'y'", "second operand"});
  ExpectBothWays(Model(6, "s = const [3]\n y = PRelu(x, s)"),
                 Model(7, "s = const [3, 1, 1]\n y = PRelu(x, s)"));
}

TEST(ConvertOpset, ManyOperandsOfDifferentShapes) {
  ExpectConverted(Model(8, "b = const [4]\n y = Sum(x, b, 2)"),
                  Model(7, "b = const [4]\n s = Add(x, b)\n y = Add(s, 2)"));
  ExpectConverted(Model(8, "y = Max(x, 0.5)"), Model(7, "y = Clip(x) {min: 0.5}"));
  ExpectRefused(Model(8, "b = const [4]\n y = Max(x, b)"), 7, {"Max 'y'", "one shape"});
}

TEST(ConvertOpset, ActivationsAreWrittenOut) {
  ExpectConverted(Model(14, "y = HardSwish(x)"),
                  Model(13, "g = HardSigmoid(x) {alpha: 0.16666667, beta: 0.5}\n y = Mul(x, g)"));
  ExpectConverted(Model(18, "y = Mish(x)"), Model(17, "s = Softplus(x)\n t = Tanh(s)\n y = Mul(x, t)"));
  ExpectConverted(Model(24, "y = Swish(x) {alpha: 2.0}"),
                  Model(9, "a = Mul(x, 2)\n s = Sigmoid(a)\n y = Mul(x, s)"));
  ExpectConverted(Model(12, "y = Celu(x) {alpha: 2.0}"),
                  Model(11, "a = Mul(x, 0.5)\n e = Elu(a)\n y = Mul(e, 2)"));
  ExpectConverted(Model(10, "y = ThresholdedRelu(x) {alpha: 0.5}"),
                  Model(9, "a = Greater(x, 0.5)\n y = Where(a, x, 0)"));
  ExpectConverted(Model(20, "y = Gelu(x)"), Model(17,
                                                  "h = Mul(x, 0.5)\n a = Mul(x, 0.70710678)\n e = Erf(a)\n"
                                                  "o = Add(e, 1)\n y = Mul(h, o)"));
  // Below opset 7 the numbers broadcast as that asks for.
  ExpectConverted(Model(24, "y = Swish(x) {alpha: 2.0}"),
                  Model(6, "a = Mul(x, 2) {broadcast: 1}\n s = Sigmoid(a)\n y = Mul(x, s)"));
  ExpectRefused(Model(20, "y = Gelu(x)"), 8, {"Gelu 'y'", "version 20", "opset 8", "Erf"});
}

TEST(ConvertOpset, ComparisonsKeepNaN) {
  ExpectConverted("opset 12\n x: float [3]\n z: float [3]\n y = GreaterOrEqual(x, z)\n return y",
                  "opset 11\n x: float [3]\n z: float [3]\n a = Greater(x, z)\n e = Equal(x, z)\n y = Or(a, "
                  "e)\n return y");
  ExpectRefused("opset 12\n x: float [3]\n z: float [3]\n y = LessOrEqual(x, z)\n return y", 9,
                {"LessOrEqual 'y'", "equality"});
}

TEST(ConvertOpset, Normalisations) {
  const std::string scale = "s = const [4]\n b = const [4]\n ";
  ExpectConverted(
      Model(17, scale + "y = LayerNormalization(x, s, b)"),
      Model(13, scale + "m = ReduceMean(x) {axes: [-1], keepdims: 1}\n d = Sub(x, m)\n q = Mul(d, d)\n"
                        "v = ReduceMean(q) {axes: [-1], keepdims: 1}\n e = Add(v, 0.00001)\n r = Sqrt(e)\n"
                        "n = Div(d, r)\n t = Mul(n, s)\n y = Add(t, b)"));
  const std::string groups = "s = const [2] {1, 2}\n b = const [2] {3, 4}\n ";
  ExpectConverted(
      Model(18, groups + "y = GroupNormalization(x, s, b) {num_groups: 2}", "[2, 4, 3, 3]"),
      Model(17,
            groups + "g = Reshape(x, [0, 2, -1])\n n = InstanceNormalization(g, s, b) {epsilon: 0.00001}\n"
                     "h = Shape(x)\n y = Reshape(n, h)",
            "[2, 4, 3, 3]"));
  ExpectConverted(Model(21, scale + "y = GroupNormalization(x, s, b) {num_groups: 2}", "[2, 4, 3, 3]"),
                  Model(18,
                        "s = const [4]\n b = const [4]\n i = const [2] {1, 1}\n o = const [2] {0, 0}\n"
                        "n = GroupNormalization(x, i, o) {num_groups: 2}\n t = const [4, 1, 1]\n"
                        "m = Mul(n, t)\n c = const [4, 1, 1]\n y = Add(m, c)",
                        "[2, 4, 3, 3]"));
  const std::string four = "s = const [3]\n b = const [3]\n m = const [3]\n v = const [3] {1, 2, 3}\n ";
  ExpectBothWays(Model(6, four + "y = BatchNormalization(x, s, b, m, v) {is_test: 1}"),
                 Model(15, four + "y = BatchNormalization(x, s, b, m, v)"));
  ExpectRefused(Model(15, four + "y, p, q = BatchNormalization(x, s, b, m, v) {training_mode: 1}"), 9,
                {"training_mode"});
}

TEST(ConvertOpset, OneOfAKind) {
  const std::string indices = "i = const int64 [1, 2] {0, 2}\n u = const [1, 2] {5, 6}\n ";
  ExpectBothWays(Model(10, indices + "y = Scatter(x, i, u) {axis: 1}", "[2, 3]"),
                 Model(11, indices + "y = ScatterElements(x, i, u) {axis: 1}", "[2, 3]"));
  ExpectBothWays(Model(5, "y = Cast(x) {to: DOUBLE}"), Model(9, "y = Cast(x) {to: 11}"));
  ExpectConverted(Model(3, "y = Concat(x, x)"), Model(4, "y = Concat(x, x) {axis: 1}"));
  ExpectConverted(Model(15, "y = Shape(x) {start: 1, end: 3}"),
                  Model(13, "s = Shape(x)\n y = Slice(s, [1], [3], [0])"));
  ExpectConverted(Model(11, "y, i = TopK(x, [2]) {largest: 0, axis: -1}"),
                  Model(10, "n = Neg(x)\n v, i = TopK(n, [2]) {axis: 3}\n y = Neg(v)"));
  ExpectConverted(Model(10, "y = Slice(x, [3], [0], [3], [-2])"),
                  Model(9, "y = Gather(x, [3, 1]) {axis: 3}"));
  ExpectConverted(
      "opset 11\n x: float [2, 3]\n w = const [3, 4]\n y = Gemm(x, w)\n return y",
      "opset 9\n x: float [2, 3]\n w = const [3, 4]\n z = const [1] {0}\n y = Gemm(x, w, z)\n return y");
}

TEST(ConvertOpset, NodesOfOtherVersionsThanTheGraphs) {
  // As passes leave them.
  const auto graph = ParseGraph(Model(11, "y = HardSwish(x)"));
  const PassContext ctx = MakeContext("opset");
  ConvertOpset(*graph, 11, ctx);
  EXPECT_EQ(PrintGraph(*graph),
            PrintGraph(
                *ParseGraph(Model(11, "g = HardSigmoid(x) {alpha: 0.16666667, beta: 0.5}\n y = Mul(x, g)"))));
}

TEST(ConvertOpset, SaysWhatCannotBeExpressed) {
  ExpectRefused(Model(16, "g = const [2, 2, 2, 2]\n y = GridSample(x, g)"), 13,
                {"GridSample 'y'", "version 16", "opset 13", "not older than opset 16"});
  ExpectRefused(Model(10, "y = MaxPool(x) {kernel_shape: [2, 2], dilations: [2, 2]}"), 8,
                {"MaxPool 'y'", "dilations"});
  ExpectRefused(Model(12, "y = ArgMax(x) {select_last_index: 1}"), 11, {"ArgMax 'y'", "select_last_index"});
  ExpectRefused("opset 14\n x: int64 [2]\n y = Relu(x)\n return y", 13, {"Relu 'y'", "int64"});
  ExpectRefused("opset 13\n x: float [2, 3]\n a: int64 [1]\n y = ReduceSum(x, a)\n return y", 11,
                {"ReduceSum 'y'", "not constant"});
}

TEST(ConvertOpset, NestedGraphsToo) {
  const auto branch = [](const char* op) {
    auto body = std::make_shared<Graph>();
    GraphBuilder build(*body, 18);
    body->inputs = {body->AddValue("x")};  // captured, without a type
    body->outputs = {build.Op(op, {body->inputs[0]})};
    return body;
  };
  Graph graph;
  GraphBuilder build(graph, 18);
  const ValueId condition = graph.AddValue("c", ValueType::Of(DataType::kBool, {}));
  const ValueId x = graph.AddValue("x", ValueType::Of(DataType::kFloat, {2, 3}));
  graph.inputs = {condition, x};
  Node node;
  node.op_type = "If";
  node.op = FindOperator("", "If", 18).op;
  node.since_version = FindOperator("", "If", 18).since_version;
  node.inputs = {condition, x};
  node.captures = 1;
  node.attrs.Set("then_branch", branch("HardSwish"));
  node.attrs.Set("else_branch", branch("Mish"));
  node.outputs = {graph.AddValue("y")};
  graph.outputs = node.outputs;
  graph.AddNode(std::move(node));
  InferShapes(graph);
  const auto source = graph.Clone();
  const PassContext ctx = MakeContext("opset");
  ConvertOpset(graph, 11, ctx);
  Verify(graph);
  const Graph& body = *graph.node(static_cast<NodeId>(0)).attrs.Subgraph("else_branch");
  EXPECT_EQ(body.num_nodes(), 3u);
  ExpectSameResults(*source, graph);
}

}  // namespace
}  // namespace sluice::test
