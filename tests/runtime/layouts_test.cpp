#include <gtest/gtest.h>

#include <algorithm>

#include "graph/operator.h"
#include "runtime/executable.h"

// Layouts along whole networks: values stay blocked from the first convolution to the last.

namespace sluice {
namespace {

constexpr int kOpset = 13;

class Net {
 public:
  Net() : graph(std::make_shared<Graph>()) {
    image = graph->AddValue("image");
    graph->inputs.push_back(image);
  }

  ValueId Add(const std::string& type, std::vector<ValueId> inputs,
              std::map<std::string, Attribute> attrs = {}, std::vector<PostOp> post_ops = {}) {
    Node node;
    node.op_type = type;
    const ResolvedOperator found = FindOperator("", type, kOpset);
    node.op = found.op;
    node.since_version = found.since_version;
    node.inputs = std::move(inputs);
    for (auto& [name, value] : attrs) node.attrs.Set(name, value);
    node.post_ops = std::move(post_ops);
    node.outputs = {graph->AddValue(std::string("v").append(std::to_string(graph->num_values())))};
    const ValueId result = node.outputs[0];
    graph->AddNode(std::move(node));
    return result;
  }

  // With bias and, as the passes leave it, Leaky ReLU and the addition of `residual`.
  ValueId Conv(ValueId src, int64_t ic, int64_t oc, int64_t k, int64_t stride = 1,
               ValueId residual = ValueId::kNone, bool leaky = true) {
    const std::vector<int64_t> pads(4, k / 2), strides(2, stride);
    std::vector<ValueId> inputs = {src, graph->AddConstant("w", Tensor(DataType::kFloat, {oc, ic, k, k})),
                                   graph->AddConstant("b", Tensor(DataType::kFloat, {oc}))};
    std::vector<PostOp> post_ops;
    if (leaky) post_ops.push_back({PostOp::Kind::kLeakyRelu, 0.1f});
    if (residual != ValueId::kNone) {
      post_ops.push_back({.kind = PostOp::Kind::kAdd, .operand = static_cast<int>(inputs.size())});
      inputs.push_back(residual);
    }
    return Add("Conv", inputs, {{"pads", pads}, {"strides", strides}}, post_ops);
  }

  ValueId Upsample(ValueId src) {
    Tensor scales(DataType::kFloat, {4});
    std::ranges::copy(std::vector<float>{1, 1, 2, 2}, scales.mutable_values<float>().begin());
    return Add("Resize", {src, ValueId::kNone, graph->AddConstant("scales", std::move(scales))},
               {{"mode", std::string("nearest")},
                {"nearest_mode", std::string("floor")},
                {"coordinate_transformation_mode", std::string("asymmetric")}});
  }

  ValueId Concat(ValueId a, ValueId b) { return Add("Concat", {a, b}, {{"axis", int64_t{1}}}); }

  // Each reorder is of an output of the graph, or of the image.
  void ExpectReordersAtTheEndsOnly(const Shape& shape) {
    const Executable executable(graph, 1, false);
    const InputType input{ValueType::Kind::kTensor, {DataType::kFloat, shape}};
    executable.WithPlan({&input, 1}, [&](const Plan& plan) {
      int64_t reorders = 0;
      for (const Step& step : plan.steps) {
        if (step.node != nullptr) continue;
        ++reorders;
        const auto is = [&](ValueId id) { return graph->value(id).name == step.value; };
        EXPECT_TRUE(std::ranges::any_of(graph->outputs, is) || is(image)) << step.value;
      }
      EXPECT_EQ(reorders, plan.info.reorders);
      EXPECT_LE(reorders, static_cast<int64_t>(graph->outputs.size()) + 1);
    });
  }

  std::shared_ptr<Graph> graph;
  ValueId image;
};

TEST(Layouts, YoloV3KeepsItsBlocks) {
  // An eighth of the channels, all layers.
  constexpr int64_t kLess = 8;
  Net net;
  int64_t channels = 32 / kLess;
  ValueId x = net.Conv(net.image, 3, channels, 3);
  std::vector<ValueId> routes;
  for (auto [full, blocks] :
       std::vector<std::pair<int64_t, int>>{{64, 1}, {128, 2}, {256, 8}, {512, 8}, {1024, 4}}) {
    const int64_t c = full / kLess;
    x = net.Conv(x, channels, c, 3, 2);
    channels = c;
    for (int i = 0; i < blocks; ++i) x = net.Conv(net.Conv(x, c, c / 2, 1), c / 2, c, 3, 1, x);
    routes.push_back(x);
  }
  for (size_t head = 0; head < 3; ++head) {
    const int64_t c = (512 >> head) / kLess;
    if (head > 0) {
      x = net.Concat(net.Upsample(net.Conv(x, channels, c, 1)), routes[4 - head]);
      channels = 3 * c;
    }
    for (int i = 0; i < 2; ++i) {
      x = net.Conv(net.Conv(x, channels, c, 1), c, 2 * c, 3);
      channels = 2 * c;
    }
    x = net.Conv(x, channels, c, 1);
    channels = c;
    net.graph->outputs.push_back(net.Conv(net.Conv(x, c, 2 * c, 3), 2 * c, 255, 1, 1, ValueId::kNone, false));
  }
  net.ExpectReordersAtTheEndsOnly({1, 3, 128, 96});
}

TEST(Layouts, PoolsKeepTheBlocks) {
  Net net;
  ValueId x = net.image;
  int64_t channels = 3;
  for (int64_t c : {16, 32, 64}) {
    x = net.Conv(x, channels, c, 3);
    x = net.Add("MaxPool", {x},
                {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
    channels = c;
  }
  net.graph->outputs = {net.Add("GlobalAveragePool", {net.Conv(x, channels, 100, 1)})};
  net.ExpectReordersAtTheEndsOnly({1, 3, 64, 64});
}

TEST(Layouts, DenseBlocksJoinInBlocks) {
  Net net;
  const ValueId first = net.Conv(net.image, 3, 32, 3);
  ValueId x = first;
  for (int64_t i = 1; i <= 4; ++i) x = net.Concat(x, net.Conv(x, 16 + 16 * i, 16, 3));
  net.graph->outputs = {net.Conv(x, 96, 32, 3, 1, first)};
  net.ExpectReordersAtTheEndsOnly({1, 3, 40, 40});
}

}  // namespace
}  // namespace sluice
