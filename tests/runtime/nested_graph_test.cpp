// Graphs inside of nodes whose inputs are all known at load.
#include <gtest/gtest.h>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

namespace sluice::test {
namespace {

// y = x + s, where s = 2^4 comes from a Loop of constants that reads nothing from outside.
ModelProto LoopOfConstants() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {1});
  SetType(graph->add_output(), "y", {1});
  TensorProto* count = graph->add_initializer();
  count->set_name("count");
  count->set_data_type(TensorProto::INT64);
  count->add_int64_data(4);
  AddFloats(graph, "one", {1}, {1});
  NodeProto* loop = AddNode(graph, "Loop", {"count", "", "one"}, {"s"});
  auto* attribute = loop->add_attribute();
  attribute->set_name("body");
  attribute->set_type(sluice_onnx::AttributeProto::GRAPH);
  GraphProto* body = attribute->mutable_g();
  SetType(body->add_input(), "i", {}, TensorProto::INT64);
  SetType(body->add_input(), "c", {}, TensorProto::BOOL);
  SetType(body->add_input(), "v", {1});
  AddNode(body, "Identity", {"c"}, {"c2"});
  AddNode(body, "Add", {"v", "v"}, {"v2"});
  SetType(body->add_output(), "c2", {}, TensorProto::BOOL);
  SetType(body->add_output(), "v2", {1});
  AddNode(graph, "Add", {"x", "s"}, {"y"});
  return model;
}

TEST(NestedGraph, LoopOfConstantsRunsWithPassesAndWithout) {
  const std::string bytes = LoopOfConstants().SerializeAsString();
  for (bool passes : {false, true}) {
    SessionOptions options;
    options.passes = passes;
    const Session session = Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
    const NamedValues outputs = session.Run({{"x", Tensor::From<float>({1}, std::vector<float>{0.5f})}});
    EXPECT_EQ(outputs.at("y").tensor().values<float>()[0], 16.5f);
  }
}

}  // namespace
}  // namespace sluice::test
