#include <gtest/gtest.h>

#include "sluice/session.h"
#include "tests/graph/onnx_attributes.h"

// Model-local functions: what a call means, by its results.

namespace sluice::test {
namespace {

using sluice_onnx::FunctionProto;

constexpr int kFloat = TensorProto::FLOAT;

FunctionProto* AddFunction(ModelProto& model, const std::string& name, Names inputs, Names outputs,
                           int64_t opset = 17) {
  FunctionProto* function = model.add_functions();
  function->set_name(name);
  function->set_domain("mine");
  for (const std::string& input : inputs) function->add_input(input);
  for (const std::string& output : outputs) function->add_output(output);
  function->add_opset_import()->set_version(opset);
  auto* mine = function->add_opset_import();
  mine->set_domain("mine");
  mine->set_version(1);
  return function;
}

template <typename Owner>
NodeProto* Call(Owner* owner, const std::string& function, Names inputs, Names outputs) {
  NodeProto* node = Add(owner, function, inputs, outputs);
  node->set_domain("mine");
  return node;
}

// The attribute takes the value of the function's attribute `of`.
void Refer(NodeProto* node, const std::string& name, const std::string& of,
           AttributeProto::AttributeType type) {
  AddAttribute(node, name, type)->set_ref_attr_name(of);
}

// A model from x [3] to the outputs named.
ModelProto ModelOf(Names outputs) {
  ModelProto model = EmptyModel();
  auto* mine = model.add_opset_import();
  mine->set_domain("mine");
  mine->set_version(1);
  SetType(model.mutable_graph()->add_input(), "x", {3});
  for (const std::string& name : outputs) {
    auto* output = model.mutable_graph()->add_output();
    output->set_name(name);
    output->mutable_type()->mutable_tensor_type()->set_elem_type(kFloat);
  }
  return model;
}

std::map<std::string, std::vector<float>> Results(const ModelProto& model, const std::vector<float>& x) {
  const std::string bytes = model.SerializeAsString();
  const Session session = Session::LoadBytes(std::as_bytes(std::span(bytes)));
  std::map<std::string, std::vector<float>> results;
  for (const auto& [name, value] : session.Run({{"x", Tensor::From<float>({3}, x)}})) {
    const auto values = value.tensor().values<float>();
    results[name].assign(values.begin(), values.end());
  }
  return results;
}
std::string MessageOf(const ModelProto& model) {
  try {
    ImportProto(model);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

using Floats = std::vector<float>;

// Leaky(a, slope) -> b: LeakyRelu with the slope of the call.
void AddLeaky(ModelProto& model, bool with_default) {
  FunctionProto* function = AddFunction(model, "Leaky", {"a"}, {"b"});
  if (with_default) {
    AttributeProto* slope = function->add_attribute_proto();
    slope->set_name("slope");
    slope->set_type(AttributeProto::FLOAT);
    slope->set_f(0.5f);
  } else {
    function->add_attribute("slope");
  }
  Refer(Add(function, "LeakyRelu", {"a"}, {"b"}), "alpha", "slope", AttributeProto::FLOAT);
}

TEST(FunctionsTest, AttributesComeFromTheCallTheFunctionOrTheOperator) {
  for (const bool with_default : {true, false}) {
    ModelProto model = ModelOf({"stated", "absent"});
    AddLeaky(model, with_default);
    SetFloat(Call(model.mutable_graph(), "Leaky", {"x"}, {"stated"}), "slope", 0.25f);
    Call(model.mutable_graph(), "Leaky", {"x"}, {"absent"});
    auto y = Results(model, {-4, 0, 4});
    EXPECT_EQ(y["stated"], (Floats{-1, 0, 4}));
    // Without a default of the function the operator's own counts.
    EXPECT_EQ(y["absent"], with_default ? (Floats{-2, 0, 4}) : (Floats{-4 * 0.01f, 0, 4}));
  }
}

TEST(FunctionsTest, AttributesPassThroughNestedCalls) {
  ModelProto model = ModelOf({"y", "z"});
  AddLeaky(model, true);
  FunctionProto* outer = AddFunction(model, "Outer", {"a"}, {"b"});
  outer->add_attribute("alpha");
  Refer(Call(outer, "Leaky", {"a"}, {"t"}), "slope", "alpha", AttributeProto::FLOAT);
  Refer(Call(outer, "Leaky", {"t"}, {"b"}), "slope", "alpha", AttributeProto::FLOAT);
  SetFloat(Call(model.mutable_graph(), "Outer", {"x"}, {"y"}), "alpha", 0.25f);
  Call(model.mutable_graph(), "Outer", {"x"}, {"z"});
  auto y = Results(model, {-16, 0, 4});
  EXPECT_EQ(y["y"], (Floats{-1, 0, 4}));
  EXPECT_EQ(y["z"], (Floats{-4, 0, 4}));  // the inner default, since the outer call states nothing
}

TEST(FunctionsTest, ConstantsAndListsReferToAttributes) {
  ModelProto model = ModelOf({"y"});
  FunctionProto* function = AddFunction(model, "Weigh", {"a"}, {"b"});
  function->add_attribute("weights");
  Refer(Add(function, "Constant", {}, {"w"}), "value_floats", "weights", AttributeProto::FLOATS);
  Add(function, "Mul", {"a", "w"}, {"b"});
  AttributeProto* weights =
      AddAttribute(Call(model.mutable_graph(), "Weigh", {"x"}, {"y"}), "weights", AttributeProto::FLOATS);
  for (float weight : {1.0f, 10.0f, 100.0f}) weights->add_floats(weight);
  EXPECT_EQ(Results(model, {1, 2, 3})["y"], (Floats{1, 20, 300}));
}

TEST(FunctionsTest, OverloadsAreToldApart) {
  ModelProto model = ModelOf({"plain", "other"});
  model.set_ir_version(10);
  Add(AddFunction(model, "F", {"a"}, {"b"}), "Neg", {"a"}, {"b"});
  FunctionProto* other = AddFunction(model, "F", {"a"}, {"b"});
  other->set_overload("double");
  Add(other, "Add", {"a", "a"}, {"b"});
  Call(model.mutable_graph(), "F", {"x"}, {"plain"});
  Call(model.mutable_graph(), "F", {"x"}, {"other"})->set_overload("double");
  auto y = Results(model, {1, 2, 3});
  EXPECT_EQ(y["plain"], (Floats{-1, -2, -3}));
  EXPECT_EQ(y["other"], (Floats{2, 4, 6}));
  other->clear_overload();
  EXPECT_EQ(MessageOf(model), "function 'F' is there twice");
}

TEST(FunctionsTest, OperatorsMeanWhatTheFunctionsOwnOpsetSays) {
  // Softmax without axis: over everything from axis 1 on until 12, over the last axis from 13 on.
  ModelProto model = ModelOf({"y"});
  Add(AddFunction(model, "Old", {"a"}, {"b"}, 11), "Softmax", {"a"}, {"b"});
  Add(AddFunction(model, "New", {"a"}, {"b"}, 13), "Softmax", {"a"}, {"b"});
  Call(model.mutable_graph(), "Old", {"x"}, {"t"});
  Call(model.mutable_graph(), "New", {"t"}, {"y"});
  const auto graph = ImportProto(model);
  ASSERT_EQ(graph->num_nodes(), 2u);
  EXPECT_EQ(graph->node(NodeId(0)).since_version, 11);
  EXPECT_EQ(graph->node(NodeId(1)).since_version, 13);
}

TEST(FunctionsTest, UnusedOutputsAndAbsentInputs) {
  ModelProto model = ModelOf({"second", "low"});
  FunctionProto* two = AddFunction(model, "Two", {"a"}, {"first", "last"});
  Add(two, "Neg", {"a"}, {"first"});
  Add(two, "Add", {"a", "first"}, {"sum"});
  Add(two, "Sub", {"sum", "a"}, {"last"});
  Call(model.mutable_graph(), "Two", {"x"}, {"", "second"});
  FunctionProto* clip = AddFunction(model, "Limit", {"a", "low", "high"}, {"b"});
  Add(clip, "Clip", {"a", "low", "high"}, {"b"});
  AddFloats(model.mutable_graph(), "top", {}, {2});
  Call(model.mutable_graph(), "Limit", {"x", "", "top"}, {"low"});
  auto y = Results(model, {-1, 2, 3});
  EXPECT_EQ(y["second"], (Floats{1, -2, -3}));
  EXPECT_EQ(y["low"], (Floats{-1, 2, 2}));
  Call(model.mutable_graph(), "Limit", {"x", "x", "x", "x"}, {"many"});
  EXPECT_NE(MessageOf(model).find("more inputs or outputs than the function has"), std::string::npos);
}

TEST(FunctionsTest, AnInputMayBeAnOutput) {
  ModelProto model = ModelOf({"y", "z"});
  AddFunction(model, "Same", {"a"}, {"a"});
  Call(model.mutable_graph(), "Same", {"x"}, {"y"});
  Call(model.mutable_graph(), "Same", {"y"}, {"z"});
  auto y = Results(model, {1, 2, 3});
  EXPECT_EQ(y["y"], (Floats{1, 2, 3}));
  EXPECT_EQ(y["z"], (Floats{1, 2, 3}));
}

// Choose(a, positive) -> b: `then` of a where the sum of a is above 0, else -a, in nested graphs that see the
// function's values and attributes.
FunctionProto* AddChoose(ModelProto& model) {
  FunctionProto* choose = AddFunction(model, "Choose", {"a"}, {"b"});
  choose->add_attribute("slope");
  SetInt(Add(choose, "ReduceSum", {"a"}, {"sum"}), "keepdims", 0);
  NodeProto* zero = Add(choose, "Constant", {}, {"zero"});
  SetFloat(zero, "value_float", 0);
  Add(choose, "Greater", {"sum", "zero"}, {"if"});
  NodeProto* node = Add(choose, "If", {"if"}, {"b"});
  auto* then_graph = AddAttribute(node, "then_branch", AttributeProto::GRAPH)->mutable_g();
  SetFloat(Call(then_graph, "Leaky", {"a"}, {"t"}), "slope", 0.5f);
  then_graph->add_output()->set_name("t");
  auto* else_graph = AddAttribute(node, "else_branch", AttributeProto::GRAPH)->mutable_g();
  Refer(Add(else_graph, "LeakyRelu", {"a"}, {"e0"}), "alpha", "slope", AttributeProto::FLOAT);
  Add(else_graph, "Neg", {"e0"}, {"e"});
  else_graph->add_output()->set_name("e");
  return choose;
}

TEST(FunctionsTest, NestedGraphsOfFunctionsSeeItsValuesAndCallFunctions) {
  ModelProto model = ModelOf({"y", "z"});
  AddLeaky(model, false);
  AddChoose(model);
  SetFloat(Call(model.mutable_graph(), "Choose", {"x"}, {"y"}), "slope", 0.25f);
  SetFloat(Call(model.mutable_graph(), "Choose", {"y"}, {"z"}), "slope", 4);
  auto positive = Results(model, {-4, 8, 0});
  EXPECT_EQ(positive["y"], (Floats{-2, 8, 0}));
  EXPECT_EQ(positive["z"], (Floats{-1, 8, 0}));
  auto negative = Results(model, {-4, 1, 0});
  EXPECT_EQ(negative["y"], (Floats{1, -1, 0}));
  EXPECT_EQ(negative["z"], (Floats{-1, 4, 0}));
}

TEST(FunctionsTest, RefusesRecursion) {
  ModelProto model = ModelOf({"y"});
  FunctionProto* a = AddFunction(model, "A", {"a"}, {"b"});
  FunctionProto* b = AddFunction(model, "B", {"a"}, {"b"});
  Call(a, "B", {"a"}, {"b"});
  Call(b, "A", {"a"}, {"b"});
  Call(model.mutable_graph(), "A", {"x"}, {"y"});
  EXPECT_EQ(MessageOf(model), "function 'A' calls itself");
  // Through a nested graph.
  ModelProto nested = ModelOf({"y"});
  AddLeaky(nested, false);
  FunctionProto* choose = AddChoose(nested);
  Call(nested.mutable_graph(), "Choose", {"x"}, {"y"});
  EXPECT_EQ(MessageOf(nested), "no error");
  auto* then_graph = choose->mutable_node(3)->mutable_attribute(0)->mutable_g();
  then_graph->mutable_node(0)->set_op_type("Choose");
  EXPECT_EQ(MessageOf(nested), "function 'Choose' calls itself");
}

TEST(FunctionsTest, RefusesWhatGrowsWithoutEnd) {
  // A chain as long as is allowed, one longer, and one in which each function calls the next twice.
  const auto chain = [](int length, int calls) {
    ModelProto model = ModelOf({"y"});
    for (int i = 0; i < length; ++i) {
      FunctionProto* function = AddFunction(model, std::string("F").append(std::to_string(i)), {"a"}, {"b"});
      for (int k = 0; k < calls; ++k) {
        const std::string output = k + 1 == calls ? "b" : std::string("t").append(std::to_string(k));
        if (i + 1 < length)
          Call(function, std::string("F").append(std::to_string(i + 1)), {"a"}, {output});
        else
          Add(function, "Neg", {"a"}, {output});
      }
    }
    Call(model.mutable_graph(), "F0", {"x"}, {"y"});
    return model;
  };
  EXPECT_EQ(Results(chain(64, 1), {1, 2, 3})["y"], (Floats{-1, -2, -3}));
  EXPECT_NE(MessageOf(chain(65, 1)).find("nested more than 64 deep"), std::string::npos);
  EXPECT_NE(MessageOf(chain(5000, 1)).find("nested more than 64 deep"), std::string::npos);
  EXPECT_NE(MessageOf(chain(40, 2)).find("more than 1000000 nodes"), std::string::npos);
  // Few nodes, many bytes.
  ModelProto model = chain(15, 2);
  NodeProto* constant = model.mutable_functions(14)->add_node();
  constant->set_op_type("Constant");
  constant->add_output("c");
  auto* values = AddAttribute(constant, "value_floats", AttributeProto::FLOATS);
  for (int i = 0; i < 1'000'000; ++i) values->add_floats(1);
  EXPECT_NE(MessageOf(model).find("functions take more than"), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
