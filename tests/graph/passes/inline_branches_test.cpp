#include "graph/infer.h"
#include "graph/verify.h"
#include "tests/graph/onnx_attributes.h"
#include "tests/graph/passes/rewrite_test_util.h"

namespace sluice::test {
namespace {

// The operators of a graph in order, those of nested graphs in brackets.
std::string OpsOf(const Graph& graph) {
  std::string text;
  for (NodeId id : graph.TopologicalOrder()) {
    text += (text.empty() ? "" : " ") + graph.node(id).op_type;
    for (const auto& [name, attribute] : graph.node(id).attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute))
        text.append("[").append(OpsOf(**nested)).append("]");
    }
  }
  return text;
}

// Runs the whole pipeline; the results stay the same.
std::unique_ptr<Graph> Optimized(const ModelProto& model) {
  std::unique_ptr<Graph> graph = ImportProto(model);
  InferShapes(*graph);
  const std::unique_ptr<Graph> before = graph->Clone();
  PassContext ctx = MakeContext("");
  RunPasses(*graph, {}, ctx);
  Verify(*graph);
  ExpectSameResults(*before, *graph);
  return graph;
}

// Branches of If: Neg and Exp of x times w, both captured.
void AddChoice(GraphProto* graph, const std::string& condition, const std::string& output) {
  NodeProto* node = Add(graph, "If", {condition}, {output});
  for (const auto& [branch, op] : {std::pair("then_branch", "Neg"), std::pair("else_branch", "Exp")}) {
    GraphProto* nested = AddGraph(node, branch);
    const std::string prefix = output + branch;
    Add(nested, "Mul", {"x", "w"}, {prefix + "_t"});
    Add(nested, op, {prefix + "_t"}, {prefix});
    AddOutput(nested, prefix);
  }
}

ModelProto ModelWithWeights() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {2, 3});
  AddFloats(graph, "w", {3}, {1, -2, 3});
  return model;
}

TEST(InlineBranches, TakesTheBranchOfAKnownCondition) {
  for (const bool condition : {true, false}) {
    ModelProto model = ModelWithWeights();
    GraphProto* graph = model.mutable_graph();
    AddBool(graph, "c", condition);
    AddChoice(graph, "c", "y");
    Add(graph, "Abs", {"y"}, {"z"});
    for (const char* name : {"y", "z"}) AddOutput(graph, name);
    const auto optimized = Optimized(model);
    EXPECT_EQ(OpsOf(*optimized), condition ? "Mul Neg Abs" : "Mul Exp Abs");
    // The sizes behind it are known now.
    EXPECT_EQ(ToString(optimized->value(optimized->outputs[1]).type), "float [2, 3]");
  }
}

TEST(InlineBranches, SeesConditionsThatFollowFromSizes) {
  ModelProto model = ModelWithWeights();
  GraphProto* graph = model.mutable_graph();
  AddInts(graph, "zero", {}, {0});
  AddInts(graph, "two", {}, {2});
  Add(graph, "Shape", {"x"}, {"shape"});
  Add(graph, "Gather", {"shape", "zero"}, {"rows"});
  Add(graph, "Equal", {"rows", "two"}, {"c"});
  AddChoice(graph, "c", "y");
  // Known once the first one is gone.
  Add(graph, "Shape", {"y"}, {"y_shape"});
  Add(graph, "Gather", {"y_shape", "zero"}, {"y_rows"});
  Add(graph, "Less", {"y_rows", "two"}, {"c2"});
  Add(graph, "Size", {"y"}, {"size"});
  AddOutput(graph, "y");
  AddOutput(graph, "c2", TensorProto::BOOL);
  EXPECT_EQ(OpsOf(*Optimized(model)), "Mul Neg");
}

TEST(InlineBranches, GoesThroughBranchesInBranches) {
  ModelProto model = ModelWithWeights();
  GraphProto* graph = model.mutable_graph();
  AddBool(graph, "c", true);
  NodeProto* outer = Add(graph, "If", {"c"}, {"y"});
  GraphProto* then_graph = AddGraph(outer, "then_branch");
  AddChoice(then_graph, "c", "inner");
  Add(then_graph, "Ceil", {"inner"}, {"then_y"});
  AddOutput(then_graph, "then_y");
  GraphProto* else_graph = AddGraph(outer, "else_branch");
  Add(else_graph, "Identity", {"x"}, {"else_y"});
  AddOutput(else_graph, "else_y");
  AddOutput(graph, "y");
  EXPECT_EQ(OpsOf(*Optimized(model)), "Mul Neg Ceil");
}

TEST(InlineBranches, ABranchMayHandOnWhatItSees) {
  // Outputs that are a captured input and a constant of the branch.
  ModelProto model = ModelWithWeights();
  GraphProto* graph = model.mutable_graph();
  AddBool(graph, "c", true);
  NodeProto* node = Add(graph, "If", {"c"}, {"a", "b"});
  for (const char* branch : {"then_branch", "else_branch"}) {
    GraphProto* nested = AddGraph(node, branch);
    AddFloats(nested, std::string(branch) + "k", {2}, {5, 6});
    AddOutput(nested, "x");
    AddOutput(nested, std::string(branch) + "k");
  }
  AddOutput(graph, "a");
  AddOutput(graph, "b");
  EXPECT_EQ(OpsOf(*Optimized(model)), "");
}

TEST(InlineBranches, LeavesConditionsOfTheRun) {
  ModelProto model = ModelWithWeights();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "c", {}, TensorProto::BOOL);
  AddChoice(graph, "c", "y");
  AddOutput(graph, "y");
  EXPECT_EQ(OpsOf(*Optimized(model)), "If[Mul Exp][Mul Neg]");
}

}  // namespace
}  // namespace sluice::test
