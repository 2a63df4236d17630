#include "graph/random_outputs.h"

#include <gtest/gtest.h>

#include "tests/graph/onnx_builder.h"

namespace sluice::test {
namespace {

// Which of the outputs are random.
std::vector<bool> RandomOf(ModelProto model, std::initializer_list<std::string> outputs) {
  SetType(model.mutable_graph()->add_input(), "x", {2, 3});
  for (const std::string& name : outputs) model.mutable_graph()->add_output()->set_name(name);
  return RandomOutputs(*ImportProto(model));
}

using Bools = std::vector<bool>;

TEST(RandomOutputsTest, FollowsTheElementsNotTheSizes) {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  AddNode(graph, "Bernoulli", {"x"}, {"b"});
  AddNode(graph, "Add", {"x", "b"}, {"sum"});
  AddNode(graph, "Shape", {"sum"}, {"shape"});
  AddNode(graph, "Relu", {"x"}, {"y"});
  EXPECT_EQ(RandomOf(model, {"b", "sum", "shape", "y", "x"}), (Bools{true, true, false, false, false}));
}

TEST(RandomOutputsTest, SeesNestedGraphs) {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  const auto add_if = [&](const std::string& then_op, const std::string& output) {
    AddNode(graph, "ReduceMax", {"x"}, {output + "_max"})->add_attribute()->set_name("keepdims");
    graph->mutable_node(graph->node_size() - 1)
        ->mutable_attribute(0)
        ->set_type(sluice_onnx::AttributeProto::INT);
    auto* cast = AddNode(graph, "Cast", {output + "_max"}, {output + "_if"})->add_attribute();
    cast->set_name("to");
    cast->set_i(TensorProto::BOOL);
    cast->set_type(sluice_onnx::AttributeProto::INT);
    NodeProto* node = AddNode(graph, "If", {output + "_if"}, {output});
    for (const auto& [branch, op] :
         {std::pair{"then_branch", then_op}, std::pair{"else_branch", std::string("Relu")}}) {
      auto* attribute = node->add_attribute();
      attribute->set_name(branch);
      attribute->set_type(sluice_onnx::AttributeProto::GRAPH);
      const std::string inner = output + branch;
      AddNode(attribute->mutable_g(), op, {"x"}, {inner});
      attribute->mutable_g()->add_output()->set_name(inner);
    }
  };
  add_if("RandomNormalLike", "drawn");
  add_if("Neg", "plain");
  EXPECT_EQ(RandomOf(model, {"drawn", "plain"}), (Bools{true, false}));
}

}  // namespace
}  // namespace sluice::test
