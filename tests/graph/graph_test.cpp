#include "graph/graph.h"

#include <gtest/gtest.h>

#include "sluice/error.h"

namespace sluice {
namespace {

Node MakeNode(std::string op, std::vector<ValueId> inputs, std::vector<ValueId> outputs) {
  Node node;
  node.op_type = std::move(op);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  return node;
}

TEST(Graph, OrdersProducersBeforeUsers) {
  Graph graph;
  const ValueId x = graph.AddValue("x"), y = graph.AddValue("y"), z = graph.AddValue("z");
  const NodeId second = graph.AddNode(MakeNode("B", {y}, {z}));
  const NodeId first = graph.AddNode(MakeNode("A", {x}, {y}));
  EXPECT_EQ(graph.TopologicalOrder(), (std::vector<NodeId>{first, second}));
}

TEST(Graph, NamesANodeOfACycle) {
  Graph graph;
  const ValueId x = graph.AddValue("x"), y = graph.AddValue("y");
  graph.AddNode(MakeNode("A", {x}, {y}));
  graph.AddNode(MakeNode("B", {y}, {x}));
  try {
    graph.TopologicalOrder();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
    EXPECT_NE(std::string(error.what()).find("cycle"), std::string::npos);
  }
}

TEST(Graph, RefusesASecondProducer) {
  Graph graph;
  const ValueId x = graph.AddValue("x"), y = graph.AddValue("y");
  graph.AddNode(MakeNode("A", {x}, {y}));
  EXPECT_THROW(graph.AddNode(MakeNode("B", {x}, {y})), Error);
}

TEST(Graph, CompactKeepsMeaning) {
  Graph graph;
  const ValueId x = graph.AddValue("x"), dead = graph.AddValue("dead"), y = graph.AddValue("y");
  graph.inputs = {x};
  graph.outputs = {y};
  const NodeId removed = graph.AddNode(MakeNode("Dead", {x}, {dead}));
  graph.AddNode(MakeNode("A", {x}, {y}));
  graph.RemoveNode(removed);
  graph.Compact();
  ASSERT_EQ(graph.num_values(), 2u);
  ASSERT_EQ(graph.num_nodes(), 1u);
  const NodeId only = graph.TopologicalOrder()[0];
  EXPECT_EQ(graph.value(graph.node(only).inputs[0]).name, "x");
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "y");
  EXPECT_EQ(graph.value(graph.inputs[0]).users, std::vector<NodeId>{only});
}

TEST(Dim, ArithmeticIsChecked) {
  EXPECT_TRUE((Dim(3) + Dim(4)).is(7));
  EXPECT_FALSE((Dim(3) + Dim::Symbol("N")).known());
  EXPECT_EQ((Dim::Symbol("N") * Dim(1)).symbol(), "N");
  EXPECT_THROW(Dim(INT64_MAX) * Dim(2), Error);
  EXPECT_THROW(Dim(2) - Dim(3), Error);
}

}  // namespace
}  // namespace sluice
