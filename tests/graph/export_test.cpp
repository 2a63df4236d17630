#include "graph/export.h"

#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/import.h"
#include "graph/infer.h"
#include "graph/verify.h"
#include "sluice/error.h"
#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

std::unique_ptr<Graph> Reimport(const Graph& graph) {
  const std::string bytes = ExportOnnxBytes(graph);
  auto again = ImportOnnxBytes(std::as_bytes(std::span(bytes)), nullptr);
  Verify(*again);
  InferShapes(*again);
  return again;
}

TEST(Export, KeepsInputsOutputsConstantsAndNodes) {
  const auto graph = test::ImportProto(test::SmallModel());
  const auto again = Reimport(*graph);
  ASSERT_EQ(again->inputs.size(), 1u);
  EXPECT_EQ(again->value(again->inputs[0]).name, "x");
  EXPECT_EQ(ToString(again->value(again->inputs[0]).type), "float [2, 3]");
  ASSERT_EQ(again->outputs.size(), 2u);
  EXPECT_EQ(again->value(again->outputs[1]).name, "w2");
  EXPECT_EQ(again->num_nodes(), 2u);
  EXPECT_EQ(again->opsets.at(""), 17);
}

TEST(Export, OutputsThatAreInputsOrTheSameValueGetANode) {
  Graph graph;
  GraphBuilder build(graph, 17);
  const ValueId x = graph.AddValue("x", ValueType::Of(DataType::kFloat, {2}));
  graph.inputs = {x};
  const ValueId y = build.Op("Identity", {x});
  graph.outputs = {y, y, x, build.Floats("c", {1})};
  const auto again = Reimport(graph);
  EXPECT_EQ(again->outputs.size(), 4u);
  EXPECT_EQ(again->num_nodes(), 4u);
}

TEST(Export, KeepsTypesThatAreNoTensors) {
  Graph graph;
  GraphBuilder build(graph, 17);
  const ValueType types[] = {ValueType::MapOf(DataType::kInt64, DataType::kString),
                             ValueType::SequenceOf(DataType::kFloat, DataType::kString),
                             ValueType::SequenceOf(DataType::kBool)};
  for (const ValueType& type : types) {
    graph.inputs.push_back(graph.AddValue("x" + std::to_string(graph.inputs.size()), type));
    graph.outputs.push_back(build.Op("Identity", {graph.inputs.back()}));
  }
  const auto again = Reimport(graph);
  const char* texts[] = {"map from int64 to string", "sequence of maps from string to float", "sequence of bool"};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ToString(again->value(again->inputs[i]).type), texts[i]);
    EXPECT_EQ(ToString(again->value(again->outputs[i]).type), texts[i]);
  }
}

TEST(Export, SameNamesAreToldApart) {
  Graph graph;
  GraphBuilder build(graph, 17);
  const ValueId x = graph.AddValue("x", ValueType::Of(DataType::kFloat, {2}));
  graph.inputs = {x};
  ValueId y = build.Op("Identity", {x});
  graph.value(y).name = "same";
  y = build.Op("Identity", {y});
  graph.value(y).name = "same";
  graph.outputs = {y};
  const auto again = Reimport(graph);
  EXPECT_EQ(again->value(again->outputs[0]).name, "same");
}

TEST(Export, PutsLargeConstantsInExternalData) {
  Graph graph;
  GraphBuilder build(graph, 17);
  std::vector<float> many(1000, 2.0f);
  graph.outputs = {build.Op("Identity", {build.Floats("small", {1})}),
                   build.Op("Identity", {build.Floats("a", many)}),
                   build.Op("Identity", {build.Floats("b", many)})};
  std::string model, data;
  ExportOptions options;
  options.external_name = "m.data";
  options.external = [&](std::span<const std::byte> part) {
    data.append(reinterpret_cast<const char*>(part.data()), part.size());
  };
  ExportOnnx(
      graph,
      [&](std::span<const std::byte> part) {
        model.append(reinterpret_cast<const char*>(part.data()), part.size());
      },
      options);
  EXPECT_EQ(data.size(), 4096u + 4000u);
  sluice_onnx::ModelProto proto;
  ASSERT_TRUE(proto.ParseFromString(model));
  int external = 0;
  for (const auto& tensor : proto.graph().initializer()) {
    if (tensor.data_location() == sluice_onnx::TensorProto::EXTERNAL) ++external;
  }
  EXPECT_EQ(external, 2);
}

TEST(Export, AlignsLargeConstants) {
  for (size_t name : {1, 2, 3, 30, 31, 60, 61, 62, 63, 64, 65, 200}) {
    Graph graph;
    GraphBuilder build(graph, 17);
    std::vector<float> many(300 + name, 2.0f);
    many[0] = 1234.5f;
    graph.outputs = {build.Op("Identity", {build.Floats(std::string(name, 'n'), many)}),
                     build.Op("Identity", {build.Floats("small", {1})}),
                     build.Op("Identity", {build.Floats("b", many)})};
    const std::string bytes = ExportOnnxBytes(graph);
    const std::string wanted(reinterpret_cast<const char*>(many.data()), many.size() * sizeof(float));
    const size_t first = bytes.find(wanted), second = bytes.find(wanted, first + 1);
    ASSERT_NE(second, std::string::npos);
    EXPECT_EQ(first % 64, 0u) << name;
    EXPECT_EQ(second % 64, 0u) << name;
    EXPECT_EQ(Reimport(graph)->num_nodes(), 3u);
  }
}

TEST(Export, RefusesVersionsOfAnotherOpset) {
  const auto graph = test::ImportProto(test::SmallModel());
  graph->opsets[""] = 1;
  EXPECT_THROW(ExportOnnxBytes(*graph), Error);
}

TEST(Unfuse, WritesPostOpsAsNodes) {
  Graph graph;
  GraphBuilder build(graph, 17);
  const ValueId x = graph.AddValue("x", ValueType::Of(DataType::kFloat, {1, 2, 4, 4}));
  graph.inputs = {x};
  const ValueId w = build.Constant("w", Tensor::From<float>({2, 2, 1, 1}, std::vector<float>{1, 2, 3, 4}));
  const ValueId y = build.Op("Conv", {x, w});
  const NodeId conv = graph.value(y).producer;
  graph.AddInput(conv, x);
  graph.node(conv).post_ops = {
      {PostOp::Kind::kLeakyRelu, 0.1f}, {PostOp::Kind::kAdd, 0, 0, 2}, {PostOp::Kind::kClip, 0, 6}};
  graph.outputs = {y};
  const auto again = Reimport(graph);
  std::vector<std::string> types;
  for (NodeId id : again->TopologicalOrder()) types.push_back(again->node(id).op_type);
  EXPECT_EQ(types, (std::vector<std::string>{"Conv", "LeakyRelu", "Add", "Clip"}));
  EXPECT_EQ(graph.node(conv).post_ops.size(), 3u);  // the source is as it was
}

}  // namespace
}  // namespace sluice
