#include "graph/binary/graph_binary.h"

#include <gtest/gtest.h>

#include "graph/export.h"
#include "tests/graph/onnx_attributes.h"

namespace sluice::test {
namespace {

struct Written {
  std::string bytes;
  std::vector<Tensor> tensors;
  std::vector<const Node*> nodes;

  explicit Written(const Graph& graph) {
    ByteWriter to;
    WriteGraph(
        graph,
        [this](const Tensor& tensor) {
          tensors.push_back(tensor);
          return static_cast<uint32_t>(tensors.size() - 1);
        },
        to, nodes);
    bytes = to.bytes();
  }

  std::unique_ptr<Graph> Read(const std::string& from, std::vector<const Node*>* nodes_read = nullptr) const {
    ByteReader reader(std::as_bytes(std::span(from)));
    std::vector<const Node*> nodes;
    auto graph = ReadGraph(
        reader,
        [this](uint32_t number, DataType type, Shape shape, bool) {
          if (number >= tensors.size() || tensors[number].dtype() != type || tensors[number].shape() != shape)
            throw Error(ErrorCode::kInvalidModel, "no such tensor");
          return tensors[number];
        },
        FindOperator, nodes);
    reader.End();
    if (nodes_read != nullptr) *nodes_read = nodes;
    return graph;
  }
};

// A nested graph that captures, strings, an absent input, tensors as attributes, a metadata entry.
std::unique_ptr<Graph> Sample() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  auto* entry = model.add_metadata_props();
  entry->set_key("names");
  entry->set_value("cat, dog");
  AddInput(graph, "n", TensorProto::INT64);
  AddInput(graph, "v", TensorProto::FLOAT);
  AddBool(graph, "yes", true);
  AddFloats(graph, "w", {2}, {1, 2});
  TensorProto* texts = graph->add_initializer();
  texts->set_name("texts");
  texts->set_data_type(TensorProto::STRING);
  texts->add_dims(2);
  texts->add_string_data("a");
  texts->add_string_data(std::string("b\0c", 3));
  NodeProto* loop = Add(graph, "Loop", {"n", "yes", "v"}, {"last"});
  GraphProto* body = AddGraph(loop, "body");
  AddInput(body, "i", TensorProto::INT64);
  AddInput(body, "go", TensorProto::BOOL);
  AddInput(body, "x", TensorProto::FLOAT);
  Add(body, "Identity", {"go"}, {"go_on"});
  Add(body, "Add", {"x", "w"}, {"sum"});
  Add(body, "Add", {"sum", "v"}, {"next"});
  AddOutput(body, "go_on", TensorProto::BOOL);
  AddOutput(body, "next", TensorProto::FLOAT);
  Add(graph, "Clip", {"last", "", "one"}, {"y"});
  AddFloats(graph, "one", {}, {1});
  Add(graph, "Identity", {"texts"}, {"t"});
  AddOutput(graph, "y", TensorProto::FLOAT);
  AddOutput(graph, "t", TensorProto::STRING);
  auto imported = ImportProto(model);
  imported->by_rows = true;
  return imported;
}

TEST(GraphBinary, ComesBackAsItWas) {
  const std::unique_ptr<Graph> graph = Sample();
  const Written written(*graph);
  std::vector<const Node*> nodes;
  const std::unique_ptr<Graph> read = written.Read(written.bytes, &nodes);
  EXPECT_EQ(ExportOnnxBytes(*read), ExportOnnxBytes(*graph));
  EXPECT_EQ(Written(*read).bytes, written.bytes);
  EXPECT_TRUE(read->by_rows);
  ASSERT_EQ(nodes.size(), written.nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    EXPECT_EQ(nodes[i]->op_type, written.nodes[i]->op_type) << i;
    EXPECT_EQ(nodes[i]->name, written.nodes[i]->name) << i;
    EXPECT_EQ(nodes[i]->op, written.nodes[i]->op) << i;
  }
}

std::unique_ptr<Graph> WithPostOps() {
  ModelProto model = EmptyModel();
  GraphProto* proto = model.mutable_graph();
  SetType(proto->add_input(), "x", {2, 3});
  SetType(proto->add_input(), "z", {2, 2});
  AddFloats(proto, "w", {3, 2}, {1, 2, 3, 4, 5, 6});
  AddNode(proto, "MatMul",
          {
              "x",
              "w",
          },
          {"y"});
  AddNode(proto, "Abs", {"z"}, {"a"});
  SetType(proto->add_output(), "y", {2, 2});
  SetType(proto->add_output(), "a", {2, 2});
  std::unique_ptr<Graph> graph = ImportProto(model);
  const NodeId product = graph->value(graph->outputs[0]).producer;
  graph->AddInput(product, graph->inputs[1]);
  graph->node(product).post_ops = {{PostOp::Kind::kLeakyRelu, 0.1f, 0.0f, -1},
                                   {PostOp::Kind::kAdd, 0.0f, 0.0f, 2}};
  return graph;
}

TEST(GraphBinary, KeepsPostOps) {
  const std::unique_ptr<Graph> graph = WithPostOps();
  const Written written(*graph);
  const std::unique_ptr<Graph> read = written.Read(written.bytes);
  const Node& node = read->node(read->value(read->outputs[0]).producer);
  ASSERT_EQ(node.post_ops.size(), 2u);
  EXPECT_EQ(ToString(node.post_ops[0]), "LeakyRelu(0.1)");
  EXPECT_EQ(node.post_ops[1].operand, 2);
}

// Kernels trust the passes: post-ops where no pass puts them are refused.
TEST(GraphBinary, RefusesPostOpsThatNoPassMakes) {
  const auto refused = [](const std::function<void(Graph&, Node&, Node&)>& change) {
    const std::unique_ptr<Graph> graph = WithPostOps();
    change(*graph, graph->node(graph->value(graph->outputs[0]).producer),
           graph->node(graph->value(graph->outputs[1]).producer));
    const Written written(*graph);
    EXPECT_THROW(written.Read(written.bytes), Error);
  };
  refused([](Graph&, Node&, Node& abs) { abs.post_ops = {{PostOp::Kind::kRelu, 0, 0, -1}}; });
  refused([](Graph&, Node& product, Node&) { product.post_ops[0].operand = 2; });
  refused([](Graph&, Node& product, Node&) { product.post_ops[1].operand = -1; });
  refused([](Graph&, Node& product, Node&) { product.post_ops[1].operand = 3; });
  refused([](Graph&, Node& product, Node&) { product.post_ops[0].kind = static_cast<PostOp::Kind>(77); });
  refused([](Graph&, Node& product, Node&) { product.since_version = 12; });
}

// Whatever is changed, it is an Error or a graph that holds together.
TEST(GraphBinary, SurvivesEveryChangedByte) {
  for (const std::unique_ptr<Graph>& graph : {Sample(), WithPostOps()}) {
    const Written written(*graph);
    for (size_t i = 0; i < written.bytes.size(); ++i) {
      for (const int mask : {1, 0x80, 0xff}) {
        std::string damaged = written.bytes;
        damaged[i] = static_cast<char>(damaged[i] ^ mask);
        try {
          ExportOnnxBytes(*written.Read(damaged));
        } catch (const Error& error) {
          EXPECT_FALSE(std::string(error.what()).empty());
        }
      }
      EXPECT_THROW(written.Read(written.bytes.substr(0, i)), Error);
    }
  }
}

}  // namespace
}  // namespace sluice::test
