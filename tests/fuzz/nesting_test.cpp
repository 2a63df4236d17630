// Models that nest graphs and functions as deep as they can, or in circles.
#include <gtest/gtest.h>

#include "tests/fuzz/hostile.h"

namespace sluice::test {
namespace {

// y = x + 1 inside `depth` Ifs; both branches alike would double with every level, so one is an Identity.
void AddIfs(GraphProto* graph, int depth, const std::string& y) {
  AddOutput(graph, y);
  if (depth == 0) {
    AddNode(graph, "Add", {"x", "one"}, {y});
    return;
  }
  NodeProto* node = AddNode(graph, "If", {"go"}, {y});
  const std::string inner = y + "i";
  AddIfs(AddGraph(node, "then_branch"), depth - 1, inner);
  GraphProto* other = AddGraph(node, "else_branch");
  AddNode(other, "Identity", {"x"}, {y + "e"});
  AddOutput(other, y + "e");
}

ModelProto NestedIfs(int depth) {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {3});
  SetType(graph->add_input(), "go", {}, TensorProto::BOOL);
  AddFloats(graph, "one", {1}, {1});
  AddIfs(graph, depth, "y");
  return model;
}

TEST(Nesting, SixtyIfsRun) {
  for (const int threads : {1, 2}) {
    const Session session = LoadProto(NestedIfs(60), threads);
    const float x[] = {1, 2, 3};
    for (const bool go : {true, false}) {
      NamedValues inputs;
      inputs["x"] = Tensor::From<float>({3}, x);
      inputs["go"] = Tensor::Scalar(go);
      EXPECT_EQ(session.Run(inputs).at("y").tensor().values<float>()[2], go ? 4 : 3);
    }
  }
}

TEST(Nesting, TooManyGraphsAreRefused) {
  for (const int depth : {65, 90, 2000}) {
    SCOPED_TRACE(depth);
    // More than protobuf would read: that must not be asked to.
    ModelProto model = EmptyModel();
    GraphProto* graph = model.mutable_graph();
    for (int i = 0; i < depth; ++i) graph = AddGraph(AddNode(graph, "If", {}, {"y"}), "then_branch");
    ExpectError(ErrorCode::kInvalidModel, {"nested too deeply"}, [&] { LoadProto(model); });
  }
}

sluice_onnx::FunctionProto* AddFunction(ModelProto& model, const std::string& name) {
  auto* function = model.add_functions();
  function->set_name(name);
  function->set_domain("mine");
  function->add_input("a");
  function->add_output("b");
  function->add_opset_import()->set_version(17);
  auto* import = function->add_opset_import();
  import->set_domain("mine");
  import->set_version(1);
  return function;
}

NodeProto* AddTo(sluice_onnx::FunctionProto* function, const std::string& op, const std::string& from,
                 const std::string& to, const std::string& domain = "mine") {
  NodeProto* node = function->add_node();
  node->set_op_type(op);
  node->set_domain(domain);
  node->add_input(from);
  node->add_output(to);
  return node;
}

// y = F(x)
ModelProto Calling(const std::string& name) {
  ModelProto model = EmptyModel();
  auto* import = model.add_opset_import();
  import->set_domain("mine");
  import->set_version(1);
  SetType(model.mutable_graph()->add_input(), "x", {3});
  AddNode(model.mutable_graph(), name, {"x"}, {"y"})->set_domain("mine");
  AddOutput(model.mutable_graph(), "y");
  return model;
}

TEST(Nesting, FunctionsThatCallEachOtherInACircleAreRefused) {
  ModelProto model = Calling("Ping");
  AddTo(AddFunction(model, "Ping"), "Pong", "a", "b");
  AddTo(AddFunction(model, "Pong"), "Ping", "a", "b");
  ExpectError(ErrorCode::kInvalidModel, {"P", "calls itself"},
              [&] { LoadProto(model); });
}

// The call hides in a graph inside of the function.
TEST(Nesting, FunctionsThatCallThemselvesFromABranchAreRefused) {
  ModelProto model = Calling("Self");
  auto* function = AddFunction(model, "Self");
  NodeProto* constant = AddTo(function, "Constant", "", "go", "");
  constant->clear_input();
  auto* value = constant->add_attribute();
  value->set_name("value");
  value->set_type(sluice_onnx::AttributeProto::TENSOR);
  value->mutable_t()->set_data_type(TensorProto::BOOL);
  value->mutable_t()->add_int32_data(1);
  NodeProto* node = AddTo(function, "If", "go", "b", "");
  for (const char* name : {"then_branch", "else_branch"}) {
    GraphProto* branch = AddGraph(node, name);
    AddNode(branch, "Self", {"a"}, {"c"})->set_domain("mine");
    AddOutput(branch, "c");
  }
  ExpectError(ErrorCode::kInvalidModel, {"'Self' calls itself"}, [&] { LoadProto(model); });
}

// 60 functions, each of which calls the next one four times.
TEST(Nesting, FunctionsThatGrowWithoutEndAreRefused) {
  ModelProto model = Calling("F0");
  for (int i = 0; i < 60; ++i) {
    const auto name = [](int at) { return std::string("F").append(std::to_string(at)); };
    auto* function = AddFunction(model, name(i));
    const std::string next = i == 59 ? "Relu" : name(i + 1), domain = i == 59 ? "" : "mine";
    AddTo(function, next, "a", "c", domain);
    AddTo(function, next, "c", "d", domain);
    AddTo(function, next, "d", "e", domain);
    AddTo(function, next, "e", "b", domain);
  }
  ExpectError(ErrorCode::kInvalidModel, {"more than 1000000 nodes"}, [&] { LoadProto(model); });
}

TEST(Nesting, FunctionsThatCopyMuchAreRefused) {
  ModelProto model = Calling("Outer");
  auto* outer = AddFunction(model, "Outer");
  for (int i = 0; i < 3000; ++i) {
    const auto name = [](int at) { return std::string("v").append(std::to_string(at)); };
    AddTo(outer, "Inner", i == 0 ? "a" : name(i), i == 2999 ? "b" : name(i + 1));
  }
  AddTo(AddFunction(model, "Inner"), "Relu", "a", "b", "")->set_doc_string(std::string(1 << 20, 'x'));
  ExpectError(ErrorCode::kInvalidModel, {"'Inner'", "bytes"}, [&] { LoadProto(model); });
}

TEST(Nesting, ACircleInABranchIsRefused) {
  ModelProto model = NestedIfs(1);
  GraphProto* branch = model.mutable_graph()->mutable_node(0)->mutable_attribute(0)->mutable_g();
  branch->mutable_node(0)->set_input(1, branch->node(0).output(0));
  ExpectError(ErrorCode::kInvalidModel, {"Add", "cycle"}, [&] { LoadProto(model); });
}

}  // namespace
}  // namespace sluice::test
