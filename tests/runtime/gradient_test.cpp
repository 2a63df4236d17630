#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "sluice/session.h"
#include "tests/graph/onnx_attributes.h"

// Gradient (ai.onnx.preview.training): against differences of the function itself, in double.

namespace sluice::test {
namespace {

constexpr int kDouble = TensorProto::DOUBLE;
using Doubles = std::vector<double>;

NodeProto* AddGradient(GraphProto* graph, Names inputs, Names outputs, Names xs, Names zs,
                       const std::string& y) {
  NodeProto* node = Add(graph, "Gradient", inputs, outputs);
  node->set_name("gradient");
  node->set_domain("ai.onnx.preview.training");
  for (const auto& [name, list] : {std::pair("xs", xs), std::pair("zs", zs)}) {
    if (list.size() == 0) continue;
    AttributeProto* attribute = AddAttribute(node, name, AttributeProto::STRINGS);
    for (const std::string& value : list) attribute->add_strings(value);
  }
  AddAttribute(node, "y", AttributeProto::STRING)->set_s(y);
  return node;
}

ModelProto TrainingModel() {
  ModelProto model = EmptyModel();
  auto* import = model.add_opset_import();
  import->set_domain("ai.onnx.preview.training");
  import->set_version(1);
  return model;
}
Session Load(const ModelProto& model) {
  const std::string bytes = model.SerializeAsString();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)));
}
std::string MessageOf(const ModelProto& model) {
  try {
    ImportProto(model);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Values between low and high, no two alike and none near a whole number, where some functions bend.
Tensor Draw(const Shape& shape, double low, double high, uint32_t seed) {
  Tensor tensor(DataType::kDouble, shape);
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  for (double& value : tensor.mutable_values<double>()) {
    do value = uniform(engine);
    while (std::abs(value - std::round(value)) < 0.05);
  }
  return tensor;
}

struct Rule {
  std::string op;
  std::vector<Shape> shapes;  // of the inputs a, b, ... that are differentiated
  double low = -2, high = 2;
  std::function<void(NodeProto*)> edit = {};
  Names more = {};  // further inputs, initializers
};

// The derivatives of sum(w op(a, b)) by a and b are those of its differences.
void ExpectDerivatives(const Rule& rule) {
  SCOPED_TRACE(rule.op);
  ModelProto model = TrainingModel();
  GraphProto* graph = model.mutable_graph();
  AddInts(graph, "axis_1", {1}, {1});
  AddInts(graph, "axes_02", {2}, {0, -1});
  AddInts(graph, "shape", {2}, {3, -1});
  AddInts(graph, "larger", {3}, {2, 2, 3});
  NodeProto* node = Add(graph, rule.op, {}, {"t"});
  NamedValues inputs;
  NodeProto* gradient = AddGradient(graph, {}, {}, {}, {}, "s");
  AttributeProto* xs = AddAttribute(gradient, "xs", AttributeProto::STRINGS);
  for (size_t i = 0; i < rule.shapes.size(); ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    AddInput(graph, name, kDouble);
    AddOutput(graph, "d" + name, kDouble);
    node->add_input(name);
    gradient->add_input(name);
    gradient->add_output("d" + name);
    xs->add_strings(name);
    inputs[name] = Draw(rule.shapes[i], rule.low, rule.high, static_cast<uint32_t>(i + 1));
  }
  for (const std::string& name : rule.more) node->add_input(name);
  if (rule.edit) rule.edit(node);
  gradient->add_input("w");
  AddAttribute(gradient, "zs", AttributeProto::STRINGS)->add_strings("w");
  AddInput(graph, "w", kDouble);
  Add(graph, "Mul", {"t", "w"}, {"weighed"});
  SetInt(Add(graph, "ReduceSum", {"weighed"}, {"s"}), "keepdims", 0);
  AddOutput(graph, "s", kDouble);
  AddOutput(graph, "t", kDouble);
  const Session session = Load(model);
  inputs["w"] = Tensor::Scalar(1.0);
  inputs["w"] = Draw(session.Run(inputs).at("t").tensor().shape(), -2, 2, 9);
  const NamedValues results = session.Run(inputs);
  const std::vector<std::string> wanted = {"s"};
  for (auto& [name, value] : inputs) {
    if (name == "w") continue;
    const Tensor original = value.tensor();
    const Tensor& got = results.at("d" + name).tensor();
    ASSERT_EQ(got.shape(), original.shape());
    ASSERT_EQ(got.dtype(), DataType::kDouble);
    for (size_t i = 0; i < original.values<double>().size(); ++i) {
      constexpr double kStep = 1e-5;
      double sums[2];
      for (int side : {0, 1}) {
        Tensor moved = original.Clone();
        moved.mutable_values<double>()[i] += side == 0 ? -kStep : kStep;
        value = moved;
        sums[side] = session.Run(inputs, wanted).at("s").tensor().values<double>()[0];
      }
      EXPECT_NEAR(got.values<double>()[i], (sums[1] - sums[0]) / (2 * kStep), 1e-6)
          << "d" << name << "[" << i << "]";
    }
    value = original;
  }
}

TEST(GradientTest, OperatorsOfOneInput) {
  const Shape shape = {2, 3};
  for (const char* op :
       {"Abs", "Neg", "Identity", "Exp", "Sigmoid", "Tanh", "Sin", "Cos", "Softplus", "Erf", "Relu",
        "LeakyRelu", "Softmax", "LogSoftmax", "Flatten", "Transpose", "ReduceSum", "ReduceMean"})
    ExpectDerivatives({op, {shape}});
  for (const char* op : {"Log", "Sqrt", "Reciprocal"}) ExpectDerivatives({op, {shape}, 0.3, 3});
  ExpectDerivatives({"LeakyRelu", {shape}, -2, 2, [](NodeProto* n) { SetFloat(n, "alpha", -0.5f); }});
  ExpectDerivatives({"Softmax", {{2, 3, 2}}, -2, 2, [](NodeProto* n) { SetInt(n, "axis", 1); }});
  ExpectDerivatives({"LogSoftmax", {{2, 3, 2}}, -2, 2, [](NodeProto* n) { SetInt(n, "axis", 0); }});
  ExpectDerivatives({"Transpose", {{2, 3, 4}}, -2, 2, [](NodeProto* n) { SetInts(n, "perm", {1, 2, 0}); }});
  ExpectDerivatives({"Reshape", {{2, 6}}, -2, 2, {}, {"shape"}});
  ExpectDerivatives({"Squeeze", {{2, 1, 3}}, -2, 2, {}, {"axis_1"}});
  ExpectDerivatives({"Unsqueeze", {{2, 3}}, -2, 2, {}, {"axes_02"}});
  ExpectDerivatives({"Expand", {{2, 1}}, -2, 2, {}, {"larger"}});
  ExpectDerivatives({"GlobalAveragePool", {{2, 2, 3, 2}}});
  for (const int64_t keep : {0, 1}) {
    const auto keeps = [keep](NodeProto* n) { SetInt(n, "keepdims", keep); };
    ExpectDerivatives({"ReduceSum", {{2, 3, 2}}, -2, 2, keeps, {"axes_02"}});
    ExpectDerivatives({"ReduceSum", {{2, 3, 2}}, -2, 2, keeps});
    ExpectDerivatives({"ReduceMean", {{2, 3, 2}}, -2, 2, [keep](NodeProto* n) {
                         SetInt(n, "keepdims", keep);
                         SetInts(n, "axes", {-2, 0});
                       }});
  }
}

TEST(GradientTest, OperatorsThatBroadcast) {
  const std::vector<std::vector<Shape>> pairs = {
      {{2, 3}, {2, 3}}, {{2, 3}, {3}}, {{2, 1}, {1, 3}}, {{}, {2, 2}}, {{1, 1, 2}, {3, 1}}};
  for (const auto& shapes : pairs) {
    for (const char* op : {"Add", "Sub", "Mul", "Max", "Min", "Sum"}) ExpectDerivatives({op, shapes});
    for (const char* op : {"Div", "Pow"}) ExpectDerivatives({op, shapes, 0.3, 2});
  }
  ExpectDerivatives({"Sum", {{2, 3}, {3}, {1}}});
  ExpectDerivatives({"Concat", {{2, 3}, {2, 1}, {2, 2}}, -2, 2, [](NodeProto* n) { SetInt(n, "axis", 1); }});
}

TEST(GradientTest, MatrixProducts) {
  ExpectDerivatives({"MatMul", {{2, 3}, {3, 4}}});
  ExpectDerivatives({"MatMul", {{2, 2, 3}, {3, 2}}});
  ExpectDerivatives({"MatMul", {{2, 3}, {2, 1, 3, 2}}});
  for (const int64_t turn_a : {0, 1}) {
    for (const int64_t turn_b : {0, 1}) {
      const Shape a = turn_a ? Shape{3, 2} : Shape{2, 3}, b = turn_b ? Shape{4, 3} : Shape{3, 4};
      ExpectDerivatives({"Gemm", {a, b, {4}}, -2, 2, [=](NodeProto* n) {
                           SetInt(n, "transA", turn_a);
                           SetInt(n, "transB", turn_b);
                           SetFloat(n, "alpha", 0.5f);
                           SetFloat(n, "beta", -2);
                         }});
    }
  }
}

// Runs a model from a scalar float x to float outputs.
std::map<std::string, float> RunAt(const ModelProto& model, float x) {
  std::map<std::string, float> results;
  for (const auto& [name, value] : Load(model).Run({{"x", Tensor::Scalar(x)}}))
    results[name] = value.tensor().values<float>()[0];
  return results;
}

// c = x * x * x, and its derivative d by x.
ModelProto Cube() {
  ModelProto model = TrainingModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {});
  Add(graph, "Mul", {"x", "x"}, {"square"});
  Add(graph, "Mul", {"square", "x"}, {"c"});
  AddGradient(graph, {"x"}, {"d"}, {"x"}, {}, "c");
  AddOutput(graph, "c");
  AddOutput(graph, "d");
  return model;
}

TEST(GradientTest, ManyWaysToYAreSummed) {
  auto y = RunAt(Cube(), 3);
  EXPECT_EQ(y["c"], 27);
  EXPECT_EQ(y["d"], 27);
}

TEST(GradientTest, OfAGradient) {
  ModelProto model = Cube();
  GraphProto* graph = model.mutable_graph();
  AddGradient(graph, {"x"}, {"d2"}, {"x"}, {}, "d")->set_name("second");
  AddOutput(graph, "d2");
  EXPECT_EQ(RunAt(model, 3)["d2"], 18);
}

TEST(GradientTest, AtOtherValuesThanTheGraphs) {
  // The derivative at 10, and by the value between with x held at another value.
  ModelProto model = Cube();
  GraphProto* graph = model.mutable_graph();
  AddFloats(graph, "ten", {}, {10});
  AddGradient(graph, {"ten"}, {"at_ten"}, {"x"}, {}, "c")->set_name("other");
  AddGradient(graph, {"ten", "x"}, {"by_square"}, {"square"}, {"x"}, "c")->set_name("between");
  AddOutput(graph, "at_ten");
  AddOutput(graph, "by_square");
  auto y = RunAt(model, 3);
  EXPECT_EQ(y["c"], 27);
  EXPECT_EQ(y["at_ten"], 300);
  EXPECT_EQ(y["by_square"], 3);
}

TEST(GradientTest, IsZeroWhereNothingDepends) {
  ModelProto model = Cube();
  GraphProto* graph = model.mutable_graph();
  Add(graph, "Floor", {"x"}, {"floor"});
  Add(graph, "Sub", {"x", "floor"}, {"part"});
  AddGradient(graph, {"x"}, {"of_part"}, {"x"}, {}, "part")->set_name("saw");
  AddFloats(graph, "one", {}, {1});
  AddGradient(graph, {"x", "one"}, {"same", "none"}, {"x", "one"}, {}, "c")->set_name("partly");
  for (const char* name : {"of_part", "same", "none"}) AddOutput(graph, name);
  auto y = RunAt(model, 2.25f);
  EXPECT_EQ(y["of_part"], 1);
  EXPECT_EQ(y["same"], y["d"]);
  EXPECT_EQ(y["none"], 0);
}

TEST(GradientTest, Refuses) {
  const auto with = [](const std::function<void(NodeProto*)>& edit) {
    ModelProto model = Cube();
    edit(model.mutable_graph()->mutable_node(2));
    return MessageOf(model);
  };
  const auto rename = [](const std::string& xs, const std::string& y) {
    return [=](NodeProto* n) {
      n->mutable_attribute(0)->set_strings(0, xs);
      n->mutable_attribute(1)->set_s(y);
    };
  };
  EXPECT_EQ(with(rename("q", "c")),
            "ai.onnx.preview.training.Gradient 'gradient': the graph around it has no value 'q'");
  EXPECT_EQ(with(rename("x", "d")), "ai.onnx.preview.training.Gradient 'gradient': 'd' depends on it");
  EXPECT_NE(with([](NodeProto* n) { n->add_input("x"); }).find("2 inputs for 1 names"), std::string::npos);
  EXPECT_NE(with([](NodeProto* n) { n->add_output("e"); }).find("2 outputs for 1 names"), std::string::npos);
  ModelProto model = Cube();
  model.mutable_graph()->mutable_node(0)->set_op_type("BitShift");
  EXPECT_NE(MessageOf(model).find("there is no derivative of BitShift 'square'"), std::string::npos)
      << MessageOf(model);
}

}  // namespace
}  // namespace sluice::test
