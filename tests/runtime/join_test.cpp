#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "graph/operator.h"
#include "kernels/evaluate.h"
#include "runtime/executable.h"
#include "runtime/storage.h"
#include "runtime/thread_pool.h"

// Values that are made inside others: Concat and Split without copies.

namespace sluice {
namespace {

constexpr int kOpset = 13;

class Builder {
 public:
  Builder() : graph(std::make_shared<Graph>()) {}

  ValueId Input() {
    const ValueId id = graph->AddValue("in" + std::to_string(graph->inputs.size()));
    graph->inputs.push_back(id);
    return id;
  }
  std::vector<ValueId> Add(const std::string& type, std::vector<ValueId> inputs, int outputs = 1) {
    Node node;
    node.op_type = type;
    const ResolvedOperator found = FindOperator("", type, kOpset);
    node.op = found.op;
    node.since_version = found.since_version;
    node.inputs = std::move(inputs);
    if (type == "Concat" || type == "Split") node.attrs.Set("axis", int64_t{1});
    for (int i = 0; i < outputs; ++i) {
      node.outputs.push_back(graph->AddValue("v" + std::to_string(graph->num_values())));
    }
    const std::vector<ValueId> result = node.outputs;
    graph->AddNode(std::move(node));
    return result;
  }
  ValueId Conv(ValueId src, int64_t ic, int64_t oc) {
    Tensor weights(DataType::kFloat, {oc, ic, 3, 3});
    for (float& w : weights.mutable_values<float>()) w = static_cast<float>(random() % 5) - 2;
    Node node;
    node.op_type = "Conv";
    const ResolvedOperator found = FindOperator("", "Conv", kOpset);
    node.op = found.op;
    node.since_version = found.since_version;
    node.attrs.Set("pads", std::vector<int64_t>{1, 1, 1, 1});
    node.inputs = {src, graph->AddConstant("w", std::move(weights))};
    node.outputs = {graph->AddValue("v" + std::to_string(graph->num_values()))};
    const ValueId result = node.outputs[0];
    graph->AddNode(std::move(node));
    return result;
  }

  std::shared_ptr<Graph> graph;
  std::mt19937 random{1};
};

Tensor Filled(const Shape& shape, float value) {
  Tensor tensor(DataType::kFloat, shape);
  for (float& x : tensor.mutable_values<float>()) x = value = value > 3 ? -3 : value + 1;
  return tensor;
}

std::vector<InputType> TypesOf(const std::vector<Value>& inputs) {
  std::vector<InputType> types;
  for (const Value& input : inputs) {
    types.push_back({ValueType::Kind::kTensor, {input.tensor().dtype(), input.tensor().shape()}});
  }
  return types;
}

// Node by node, every value kept.
std::vector<Value> Reference(const Graph& graph, const std::vector<Value>& inputs) {
  std::vector<Value> values(graph.num_values());
  for (size_t i = 0; i < values.size(); ++i) values[i] = graph.value(static_cast<ValueId>(i)).constant;
  for (size_t i = 0; i < inputs.size(); ++i) values[static_cast<size_t>(graph.inputs[i])] = inputs[i];
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    std::vector<Value> in;
    for (ValueId input : node.inputs) in.push_back(values[static_cast<size_t>(input)]);
    std::vector<Value> out = Evaluate(node, in);
    for (size_t i = 0; i < out.size(); ++i) {
      values[static_cast<size_t>(node.outputs[i])] = out[i].tensor().Clone();
    }
  }
  std::vector<Value> outputs;
  for (ValueId id : graph.outputs) outputs.push_back(values[static_cast<size_t>(id)]);
  return outputs;
}

void ExpectAgrees(const std::shared_ptr<Graph>& graph, const std::vector<Value>& inputs) {
  const std::vector<Value> want = Reference(*graph, inputs);
  const Executable executable(graph, 1, false);
  for (int threads : {1, 2, 4, 4}) {
    SCOPED_TRACE("threads " + std::to_string(threads));
    std::vector<Value> got;
    ThreadPool::Get(threads)->Run([&] { got = executable.Run(inputs); });
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i].tensor().shape(), want[i].tensor().shape());
      EXPECT_FALSE(got[i].tensor().is_borrowed());
      const auto a = got[i].tensor().values<float>(), b = want[i].tensor().values<float>();
      for (size_t at = 0; at < a.size(); ++at) {
        ASSERT_NEAR(a[at], b[at], 1e-3 + 1e-4 * std::abs(b[at])) << "output " << i << ", element " << at;
      }
    }
  }
}

// Steps of this operator that are left to run.
int64_t StepsOf(const std::shared_ptr<Graph>& graph, const std::vector<Value>& inputs,
                const std::string& type) {
  int64_t count = 0;
  const Executable executable(graph, 1, false);
  executable.WithPlan(TypesOf(inputs), [&](const Plan& plan) {
    for (const Step& step : plan.steps) count += step.node != nullptr && step.node->op_type == type;
  });
  return count;
}

// conv(x), conv(concat(x, a)), conv(concat(x, a, b)), ... as in dense blocks.
TEST(JoinTest, GrowingConcatsShareOneBuffer) {
  Builder builder;
  const ValueId x = builder.Conv(builder.Input(), 16, 16);
  std::vector<ValueId> parts = {x};
  ValueId joined = x;
  for (int64_t i = 1; i <= 4; ++i) {
    parts.push_back(builder.Conv(joined, 16 * i, 16));
    joined = builder.Add("Concat", parts)[0];
  }
  builder.graph->outputs = {builder.Add("Add", {builder.Conv(joined, 80, 16), x})[0]};
  const std::vector<Value> inputs = {Filled({1, 16, 9, 7}, 1)};
  EXPECT_EQ(StepsOf(builder.graph, inputs, "Concat"), 0);
  ExpectAgrees(builder.graph, inputs);
  // Images of a batch lie apart: copied.
  const std::vector<Value> batch = {Filled({2, 16, 9, 7}, 1)};
  EXPECT_EQ(StepsOf(builder.graph, batch, "Concat"), 4);
  ExpectAgrees(builder.graph, batch);
}

TEST(JoinTest, SplitAndConcatOfItsPartsRunNothing) {
  Builder builder;
  const ValueId x = builder.Conv(builder.Input(), 16, 32);
  const std::vector<ValueId> halves = builder.Add("Split", {x}, 2);
  const ValueId y = builder.Conv(halves[1], 16, 16);
  builder.graph->outputs = {builder.Conv(builder.Add("Concat", {halves[0], halves[1], y})[0], 48, 16)};
  const std::vector<Value> inputs = {Filled({1, 16, 6, 5}, 1)};
  EXPECT_EQ(StepsOf(builder.graph, inputs, "Concat") + StepsOf(builder.graph, inputs, "Split"), 0);
  ExpectAgrees(builder.graph, inputs);
}

TEST(JoinTest, WhatCannotMoveIsCopied) {
  Builder builder;
  const ValueId in = builder.Input();
  const ValueId a = builder.Add("Relu", {in})[0];
  // The caller's memory, the same value twice, and a value that another concat holds elsewhere.
  const ValueId first = builder.Add("Concat", {in, a, a})[0];
  const ValueId second = builder.Add("Concat", {a, in})[0];
  builder.graph->outputs = {first, second, a, builder.Add("Relu", {first})[0]};
  const std::vector<Value> inputs = {Filled({1, 3, 4, 5}, 1)};
  EXPECT_EQ(StepsOf(builder.graph, inputs, "Concat"), 2);
  ExpectAgrees(builder.graph, inputs);
}

TEST(JoinTest, RandomGraphsAgreeWithNodeByNode) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Builder builder;
    builder.random.seed(seed);
    struct Made {
      ValueId id;
      int64_t channels;
    };
    // Odd channels too: those of blocked layouts then do not fill their blocks.
    const int64_t unit = random() % 2 ? 8 : 3;
    std::vector<Made> values = {{builder.Input(), 2 * unit}};
    const auto recent = [&] {
      return values[values.size() - 1 - random() % std::min<size_t>(5, values.size())];
    };
    const int nodes = 2 + static_cast<int>(random() % 20);
    for (int i = 0; i < nodes; ++i) {
      const Made src = recent();
      switch (random() % 6) {
        case 0:
          values.push_back({builder.Add("Relu", {src.id})[0], src.channels});
          break;
        case 1:
          values.push_back({builder.Conv(src.id, src.channels, 2 * unit), 2 * unit});
          break;
        case 2: {
          if (src.channels % 2 != 0) break;
          for (ValueId half : builder.Add("Split", {src.id}, 2)) values.push_back({half, src.channels / 2});
          break;
        }
        case 3: {
          for (const Made& other : values) {
            if (other.channels != src.channels || other.id == src.id) continue;
            values.push_back({builder.Add("Add", {src.id, other.id})[0], src.channels});
            break;
          }
          break;
        }
        default: {
          std::vector<ValueId> parts;
          int64_t channels = 0;
          for (unsigned p = 0; p < 2 + random() % 2; ++p) {
            const Made part = recent();
            parts.push_back(part.id);
            channels += part.channels;
          }
          if (channels <= 200) values.push_back({builder.Add("Concat", parts)[0], channels});
        }
      }
    }
    builder.graph->outputs = {values.back().id};
    for (unsigned i = 0; i < random() % 3; ++i) builder.graph->outputs.push_back(recent().id);
    ExpectAgrees(builder.graph, {Filled({random() % 4 == 0 ? 2 : 1, 2 * unit, 3, 2}, 1)});
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace sluice
