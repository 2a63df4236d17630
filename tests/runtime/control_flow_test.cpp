#include <gtest/gtest.h>

#include <numeric>

#include "sluice/session.h"
#include "tests/graph/onnx_attributes.h"

// If, Loop, Scan and SequenceMap with real nested graphs, by their results.

namespace sluice::test {
namespace {

constexpr int kFloat = TensorProto::FLOAT;
constexpr int kInt = TensorProto::INT64;
constexpr int kBool = TensorProto::BOOL;

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;

Session Load(const ModelProto& model, int threads = 2, bool passes = true) {
  SessionOptions options;
  options.threads = threads;
  options.passes = passes;
  const std::string bytes = model.SerializeAsString();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

template <typename T>
std::vector<T> ElementsOf(const Value& value) {
  const auto values = value.tensor().values<T>();
  return {values.begin(), values.end()};
}
Tensor Scalar(int64_t value) { return Tensor::Scalar<int64_t>(value); }
Tensor Vector(const Floats& values) {
  return Tensor::From<float>({static_cast<int64_t>(values.size())}, values);
}

// The inputs and the condition that every body of a Loop has; the condition stays true.
GraphProto* AddBody(NodeProto* loop) {
  GraphProto* body = AddGraph(loop, "body");
  AddInput(body, "i", kInt);
  AddInput(body, "go", kBool);
  Add(body, "Identity", {"go"}, {"go_on"});
  AddOutput(body, "go_on", kBool);
  return body;
}

TEST(LoopTest, FibonacciUntilALimit) {
  // a, b = b, a + b while b < limit: the number of steps is not known before.
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "limit", kInt);
  AddInts(graph, "zero", {}, {0});
  AddInts(graph, "one", {}, {1});
  AddBool(graph, "yes", true);
  NodeProto* loop = Add(graph, "Loop", {"", "yes", "zero", "one"}, {"a", "b", "all"});
  GraphProto* body = AddGraph(loop, "body");
  for (const char* name : {"i", "go", "a_in", "b_in"})
    AddInput(body, name, std::string(name) == "go" ? kBool : kInt);
  Add(body, "Add", {"a_in", "b_in"}, {"sum"});
  Add(body, "Identity", {"b_in"}, {"a_out"});
  Add(body, "Less", {"sum", "limit"}, {"again"});
  Add(body, "Identity", {"a_in"}, {"seen"});
  for (const char* name : {"again", "a_out", "sum", "seen"})
    AddOutput(body, name, std::string(name) == "again" ? kBool : kInt);
  for (const char* name : {"a", "b", "all"}) AddOutput(graph, name, kInt);
  const Session session = Load(model);
  auto out = session.Run({{"limit", Scalar(50)}});
  EXPECT_EQ(ElementsOf<int64_t>(out.at("all")), (Ints{0, 1, 1, 2, 3, 5, 8, 13, 21}));
  EXPECT_EQ(ElementsOf<int64_t>(out.at("b")), (Ints{55}));
  out = session.Run({{"limit", Scalar(2)}});
  EXPECT_EQ(ElementsOf<int64_t>(out.at("all")), (Ints{0, 1}));
}

TEST(LoopTest, CarriedValuesMayGrow) {
  // v = concat(v, [i * scale]), with sums of every stage collected.
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "n", kInt);
  AddInput(graph, "v0", kFloat);
  AddInput(graph, "scale", kFloat);
  GraphProto* body = AddBody(Add(graph, "Loop", {"n", "", "v0"}, {"v", "sums"}));
  AddInput(body, "v_in", kFloat);
  SetInt(Add(body, "Cast", {"i"}, {"f"}), "to", kFloat);
  Add(body, "Mul", {"f", "scale"}, {"scaled"});
  AddInts(body, "axes", {1}, {0});
  Add(body, "Unsqueeze", {"scaled", "axes"}, {"item"});
  SetInt(Add(body, "Concat", {"v_in", "item"}, {"v_out"}), "axis", 0);
  SetInt(Add(body, "ReduceSum", {"v_out"}, {"sum"}), "keepdims", 0);
  AddOutput(body, "v_out");
  AddOutput(body, "sum");
  for (const char* name : {"v", "sums"}) AddOutput(graph, name);
  for (const int threads : {1, 3}) {
    const Session session = Load(model, threads);
    for (const int64_t n : {5, 0, 40, 1}) {
      const auto out = session.Run({{"n", Scalar(n)}, {"v0", Vector({7})}, {"scale", Tensor::Scalar(2.0f)}});
      Floats v = {7}, sums;
      for (int64_t i = 0; i < n; ++i) {
        v.push_back(static_cast<float>(2 * i));
        sums.push_back(std::accumulate(v.begin(), v.end(), 0.0f));
      }
      EXPECT_EQ(ElementsOf<float>(out.at("v")), v) << n;
      EXPECT_EQ(ElementsOf<float>(out.at("sums")), sums) << n;
    }
  }
}

TEST(LoopTest, NestedLoopsSeeEverythingAround) {
  // table[i][j] = base + 10 i + j: the inner body uses a value of the outer body and one of the graph.
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  for (const char* name : {"rows", "columns", "base"}) AddInput(graph, name, kInt);
  GraphProto* outer = AddBody(Add(graph, "Loop", {"rows", ""}, {"table"}));
  AddInts(outer, "ten", {}, {10});
  Add(outer, "Mul", {"i", "ten"}, {"tens"});
  GraphProto* inner = AddGraph(Add(outer, "Loop", {"columns", ""}, {"row"}), "body");
  AddInput(inner, "j", kInt);
  AddInput(inner, "going", kBool);
  Add(inner, "Identity", {"going"}, {"still"});
  Add(inner, "Add", {"tens", "j"}, {"t"});
  Add(inner, "Add", {"t", "base"}, {"cell"});
  AddOutput(inner, "still", kBool);
  AddOutput(inner, "cell", kInt);
  AddOutput(outer, "row", kInt);
  AddOutput(graph, "table", kInt);
  const Session session = Load(model);
  const auto table =
      session.Run({{"rows", Scalar(3)}, {"columns", Scalar(4)}, {"base", Scalar(100)}}).at("table");
  EXPECT_EQ(table.tensor().shape(), (Shape{3, 4}));
  EXPECT_EQ(ElementsOf<int64_t>(table), (Ints{100, 101, 102, 103, 110, 111, 112, 113, 120, 121, 122, 123}));
}

TEST(LoopTest, SequencesAreCarried) {
  // Pieces of x of growing length, those with an even index turned around by an If.
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "n", kInt);
  AddInput(graph, "x", kFloat);
  SetInt(Add(graph, "SequenceEmpty", {}, {"none"}), "dtype", kFloat);
  GraphProto* body = AddBody(Add(graph, "Loop", {"n", "", "none"}, {"pieces"}));
  body->add_input()->set_name("s_in");
  SetSequence(body->mutable_input(2));
  AddInts(body, "start", {1}, {0});
  AddInts(body, "first", {1}, {0});
  AddInts(body, "one", {}, {1});
  AddInts(body, "two", {}, {2});
  Add(body, "Add", {"i", "one"}, {"length"});
  Add(body, "Unsqueeze", {"length", "first"}, {"end"});
  Add(body, "Slice", {"x", "start", "end"}, {"piece"});
  Add(body, "Mod", {"i", "two"}, {"odd"});
  SetInt(Add(body, "Cast", {"odd"}, {"is_odd"}), "to", kBool);
  NodeProto* branch = Add(body, "If", {"is_odd"}, {"turned"});
  GraphProto* as_is = AddGraph(branch, "then_branch");
  Add(as_is, "Identity", {"piece"}, {"same"});
  AddOutput(as_is, "same");
  GraphProto* around = AddGraph(branch, "else_branch");
  AddInts(around, "last", {1}, {-1});
  AddInts(around, "before", {1}, {INT64_MIN});
  Add(around, "Slice", {"piece", "last", "before", "first", "last"}, {"back"});
  AddOutput(around, "back");
  Add(body, "SequenceInsert", {"s_in", "turned"}, {"s_out"});
  body->add_output()->set_name("s_out");
  SetSequence(body->mutable_output(1));
  SetInt(Add(graph, "ConcatFromSequence", {"pieces"}, {"y"}), "axis", 0);
  Add(graph, "SequenceLength", {"pieces"}, {"count"});
  AddOutput(graph, "y");
  AddOutput(graph, "count", kInt);
  graph->add_output()->set_name("pieces");
  SetSequence(graph->mutable_output(2));
  const Session session = Load(model);
  EXPECT_TRUE(session.outputs()[2].is_sequence);
  for (int run = 0; run < 2; ++run) {
    const auto out = session.Run({{"n", Scalar(3)}, {"x", Vector({1, 2, 3, 4})}});
    EXPECT_EQ(ElementsOf<float>(out.at("y")), (Floats{1, 1, 2, 3, 2, 1}));
    EXPECT_EQ(ElementsOf<int64_t>(out.at("count")), (Ints{3}));
    ASSERT_EQ(out.at("pieces").items().size(), 3u);
    EXPECT_EQ(ElementsOf<float>(out.at("pieces").items()[2]), (Floats{3, 2, 1}));
  }
}

TEST(LoopTest, StopsAtOnceOnErrorAndStaysGood) {
  // Gather past the end in iteration 3.
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "n", kInt);
  AddInput(graph, "x", kFloat);
  GraphProto* body = AddBody(Add(graph, "Loop", {"n", ""}, {"y"}));
  Add(body, "Gather", {"x", "i"}, {"item"});
  AddOutput(body, "item");
  AddOutput(graph, "y");
  const Session session = Load(model);
  const Tensor x = Vector({5, 6, 7});
  for (int run = 0; run < 3; ++run) {
    EXPECT_THROW(session.Run({{"n", Scalar(9)}, {"x", x}}), Error);
    EXPECT_EQ(ElementsOf<float>(session.Run({{"n", Scalar(3)}, {"x", x}}).at("y")), (Floats{5, 6, 7}));
  }
}

TEST(LoopTest, ThousandsOfIterations) {
  // x = x / 2 + c, which converges to 2 c.
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "n", kInt);
  AddInput(graph, "x0", kFloat);
  AddInput(graph, "c", kFloat);
  GraphProto* body = AddBody(Add(graph, "Loop", {"n", "", "x0"}, {"x", "all"}));
  AddInput(body, "x_in");
  AddFloats(body, "half", {}, {0.5f});
  Add(body, "Mul", {"x_in", "half"}, {"h"});
  Add(body, "Add", {"h", "c"}, {"x_out"});
  Add(body, "Identity", {"x_out"}, {"seen"});
  AddOutput(body, "x_out");
  AddOutput(body, "seen");
  AddOutput(graph, "x");
  AddOutput(graph, "all");
  const auto out =
      Load(model).Run({{"n", Scalar(3000)}, {"x0", Vector({0, 0, 0})}, {"c", Vector({1, 2, 3})}});
  EXPECT_EQ(ElementsOf<float>(out.at("x")), (Floats{2, 4, 6}));
  EXPECT_EQ(out.at("all").tensor().shape(), (Shape{3000, 3}));
  EXPECT_EQ(out.at("all").tensor().values<float>()[4], 1 * 3.0f);
}

TEST(IfTest, BranchesOfDifferentShapesAndKinds) {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "c", kBool);
  AddInput(graph, "x", kFloat);
  NodeProto* node = Add(graph, "If", {"c"}, {"y", "s"});
  GraphProto* yes = AddGraph(node, "then_branch");
  Add(yes, "Neg", {"x"}, {"y1"});
  Add(yes, "SequenceConstruct", {"x", "y1"}, {"s1"});
  AddOutput(yes, "y1");
  yes->add_output()->set_name("s1");
  SetSequence(yes->mutable_output(1));
  GraphProto* no = AddGraph(node, "else_branch");
  SetInt(Add(no, "Concat", {"x", "x"}, {"y2"}), "axis", 0);
  SetInt(Add(no, "SequenceEmpty", {}, {"s2"}), "dtype", kFloat);
  AddOutput(no, "y2");
  no->add_output()->set_name("s2");
  SetSequence(no->mutable_output(1));
  AddOutput(graph, "y");
  graph->add_output()->set_name("s");
  SetSequence(graph->mutable_output(1));
  for (const bool passes : {true, false}) {
    const Session session = Load(model, 2, passes);
    auto out = session.Run({{"c", Tensor::Scalar(true)}, {"x", Vector({1, 2})}});
    EXPECT_EQ(ElementsOf<float>(out.at("y")), (Floats{-1, -2}));
    EXPECT_EQ(out.at("s").items().size(), 2u);
    out = session.Run({{"c", Tensor::Scalar(false)}, {"x", Vector({1, 2})}});
    EXPECT_EQ(ElementsOf<float>(out.at("y")), (Floats{1, 2, 1, 2}));
    EXPECT_EQ(out.at("s").items().size(), 0u);
  }
}

TEST(IfTest, OptionalsCarryTensorsOrNothing) {
  // The branch that is taken decides whether the optional has an element; its absence is told, not an error.
  ModelProto model = EmptyModel(18);
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "c", kBool);
  AddInput(graph, "x", kFloat);
  const auto optional_type = [](sluice_onnx::TypeProto* type) {
    type->mutable_optional_type()->mutable_elem_type()->mutable_tensor_type()->set_elem_type(kFloat);
  };
  NodeProto* node = Add(graph, "If", {"c"}, {"o"});
  GraphProto* yes = AddGraph(node, "then_branch");
  Add(yes, "Optional", {"x"}, {"o1"});
  yes->add_output()->set_name("o1");
  optional_type(yes->mutable_output(0)->mutable_type());
  GraphProto* no = AddGraph(node, "else_branch");
  AttributeProto* type = AddAttribute(Add(no, "Optional", {}, {"o2"}), "type", AttributeProto::TYPE_PROTO);
  type->mutable_tp()->mutable_tensor_type()->set_elem_type(kFloat);
  no->add_output()->set_name("o2");
  optional_type(no->mutable_output(0)->mutable_type());
  Add(graph, "OptionalHasElement", {"o"}, {"has"});
  NodeProto* get = Add(graph, "If", {"has"}, {"y"});
  GraphProto* there = AddGraph(get, "then_branch");
  Add(there, "OptionalGetElement", {"o"}, {"element"});
  AddOutput(there, "element");
  GraphProto* absent = AddGraph(get, "else_branch");
  AddFloats(absent, "minus", {1}, {-1});
  Add(absent, "Identity", {"minus"}, {"instead"});
  AddOutput(absent, "instead");
  AddOutput(graph, "y");
  AddOutput(graph, "has", kBool);
  const Session session = Load(model);
  auto out = session.Run({{"c", Tensor::Scalar(true)}, {"x", Vector({1, 2})}});
  EXPECT_EQ(ElementsOf<float>(out.at("y")), (Floats{1, 2}));
  EXPECT_TRUE(out.at("has").tensor().values<bool>()[0]);
  out = session.Run({{"c", Tensor::Scalar(false)}, {"x", Vector({1, 2})}});
  EXPECT_EQ(ElementsOf<float>(out.at("y")), (Floats{-1}));
  EXPECT_FALSE(out.at("has").tensor().values<bool>()[0]);
}

TEST(SequenceMapTest, MapsSequencesSideBySide) {
  // y_k = a_k * b + c_k with the capture b, and the shapes of a_k.
  ModelProto model = EmptyModel(17);
  GraphProto* graph = model.mutable_graph();
  for (const char* name : {"a", "c"}) {
    graph->add_input()->set_name(name);
    SetSequence(graph->mutable_input(graph->input_size() - 1));
  }
  AddInput(graph, "b", kFloat);
  GraphProto* body = AddGraph(Add(graph, "SequenceMap", {"a", "c"}, {"y", "shapes"}), "body");
  for (const char* name : {"a_k", "c_k"}) AddInput(body, name);
  Add(body, "Mul", {"a_k", "b"}, {"t"});
  Add(body, "Add", {"t", "c_k"}, {"y_k"});
  Add(body, "Shape", {"a_k"}, {"shape"});
  AddOutput(body, "y_k");
  AddOutput(body, "shape", kInt);
  for (const auto& [name, type] : {std::pair("y", kFloat), std::pair("shapes", kInt)}) {
    graph->add_output()->set_name(name);
    SetSequence(graph->mutable_output(graph->output_size() - 1), type);
  }
  const Session session = Load(model);
  const Value a = Value::Sequence({Vector({1, 2}), Vector({}), Vector({3})});
  const Value c = Value::Sequence({Vector({10, 20}), Vector({}), Vector({30})});
  const auto out = session.Run({{"a", a}, {"c", c}, {"b", Tensor::Scalar(2.0f)}});
  ASSERT_EQ(out.at("y").items().size(), 3u);
  EXPECT_EQ(ElementsOf<float>(out.at("y").items()[0]), (Floats{12, 24}));
  EXPECT_EQ(ElementsOf<float>(out.at("y").items()[1]), (Floats{}));
  EXPECT_EQ(ElementsOf<float>(out.at("y").items()[2]), (Floats{36}));
  EXPECT_EQ(ElementsOf<int64_t>(out.at("shapes").items()[2]), (Ints{1}));
  // None at all, and sequences of different lengths.
  const Value none = Value::Sequence({}, DataType::kFloat);
  EXPECT_TRUE(session.Run({{"a", none}, {"c", none}, {"b", Tensor::Scalar(2.0f)}}).at("y").items().empty());
  EXPECT_THROW(session.Run({{"a", a}, {"c", none}, {"b", Tensor::Scalar(2.0f)}}), Error);
}

TEST(ScanTest, RunningSumsAlongAxesAndBackwards) {
  // state [2] += column of x [2, n]; the states collected as columns, and the same from the other end.
  for (const int64_t backwards : {0, 1}) {
    for (const int opset : {9, 11, 17}) {
      ModelProto model = EmptyModel(opset);
      GraphProto* graph = model.mutable_graph();
      AddInput(graph, "s0");
      AddInput(graph, "x");
      NodeProto* scan = Add(graph, "Scan", {"s0", "x"}, {"s", "y"});
      SetInt(scan, "num_scan_inputs", 1);
      SetInts(scan, "scan_input_axes", {1});
      SetInts(scan, "scan_output_axes", {opset >= 11 ? int64_t{-1} : int64_t{1}});
      SetInts(scan, "scan_input_directions", {backwards});
      SetInts(scan, "scan_output_directions", {backwards});
      GraphProto* body = AddGraph(scan, "body");
      AddInput(body, "s_in");
      AddInput(body, "column");
      Add(body, "Add", {"s_in", "column"}, {"s_out"});
      Add(body, "Identity", {"s_out"}, {"seen"});
      AddOutput(body, "s_out");
      AddOutput(body, "seen");
      AddOutput(graph, "s");
      AddOutput(graph, "y");
      const Session session = Load(model);
      const auto out = session.Run(
          {{"s0", Vector({100, 200})}, {"x", Tensor::From<float>({2, 3}, Floats{1, 2, 3, 10, 20, 30})}});
      EXPECT_EQ(ElementsOf<float>(out.at("s")), (Floats{106, 260}));
      EXPECT_EQ(out.at("y").tensor().shape(), (Shape{2, 3}));
      EXPECT_EQ(ElementsOf<float>(out.at("y")),
                backwards ? (Floats{106, 105, 103, 260, 250, 230}) : (Floats{101, 103, 106, 210, 230, 260}));
    }
  }
}

TEST(ScanTest, Version8HasABatchAndLengths) {
  ModelProto model = EmptyModel(8);
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "lengths", kInt);
  AddInput(graph, "s0");
  AddInput(graph, "x");
  NodeProto* scan = Add(graph, "Scan", {"lengths", "s0", "x"}, {"s", "y"});
  SetInt(scan, "num_scan_inputs", 1);
  GraphProto* body = AddGraph(scan, "body");
  AddInput(body, "s_in");
  AddInput(body, "item");
  Add(body, "Add", {"s_in", "item"}, {"s_out"});
  Add(body, "Identity", {"s_out"}, {"seen"});
  AddOutput(body, "s_out");
  AddOutput(body, "seen");
  AddOutput(graph, "s");
  AddOutput(graph, "y");
  const auto out = Load(model).Run({{"lengths", Tensor::From<int64_t>({2}, Ints{3, 2})},
                                    {"s0", Tensor::From<float>({2, 1}, Floats{100, 200})},
                                    {"x", Tensor::From<float>({2, 3, 1}, Floats{1, 2, 3, 10, 20, 30})}});
  EXPECT_EQ(ElementsOf<float>(out.at("s")), (Floats{106, 230}));
  EXPECT_EQ(out.at("y").tensor().shape(), (Shape{2, 3, 1}));
  EXPECT_EQ(ElementsOf<float>(out.at("y")), (Floats{101, 103, 106, 210, 230, 0}));
}

}  // namespace
}  // namespace sluice::test
