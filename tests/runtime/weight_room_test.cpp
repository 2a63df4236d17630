#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "graph/builder.h"
#include "graph/export.h"
#include "sluice/session.h"

namespace sluice {
namespace {

constexpr int64_t kChannels = 64, kMany = 256, kSide = 48;
constexpr int64_t kSmall = kChannels * kChannels * 9 * 4, kLarge = kMany * kChannels * 9 * 4;

Tensor Numbers(const Shape& shape, float first, float factor) {
  Tensor tensor(DataType::kFloat, shape);
  for (float& value : tensor.mutable_values<float>()) value = first = 0.37f - factor * first;
  return tensor;
}

// x [1, 64, 48, 48] -> Conv 3x3 to 64 channels -> Conv 3x3 to 256 -> y.
std::string Model(int64_t stride) {
  Graph graph;
  GraphBuilder builder(graph, 13);
  ValueId value =
      graph.AddValue("x", ValueType::Of(DataType::kFloat, ToSymShape(Shape{1, kChannels, kSide, kSide})));
  graph.inputs = {value};
  for (int64_t channels : {kChannels, kMany}) {
    const ValueId weights = builder.Constant("w", Numbers({channels, kChannels, 3, 3}, 0.3f, 0.83f));
    value = builder.Op(
        "Conv", {value, weights},
        {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"strides", std::vector<int64_t>{stride, stride}}});
  }
  graph.outputs = {value};
  graph.ir_version = 8;
  return ExportOnnxBytes(graph);
}

struct Outcome {
  std::vector<bool> winograd;  // of each convolution
  int64_t packed_bytes = 0;
  Tensor y;
};
Outcome RunWith(int64_t max_weight_bytes, int64_t stride = 1) {
  SessionOptions options;
  options.threads = 1;
  options.max_weight_bytes = max_weight_bytes;
  options.profile = true;
  options.disabled_passes = {"run-by-rows"};  // a step for each convolution, whatever this machine's caches hold
  const std::string model = Model(stride);
  const Session session = Session::LoadBytes(std::as_bytes(std::span(model)), options);
  const Tensor x = Numbers({1, kChannels, kSide, kSide}, 0.9f, 0.67f);
  Outcome outcome{{}, session.Prepare({}).packed_bytes, session.Run({{"x", x}}).begin()->second.tensor()};
  for (const StepProfile& step : session.profile()) {
    if (step.op.starts_with("Conv")) outcome.winograd.push_back(step.kernel.starts_with("winograd"));
  }
  return outcome;
}

TEST(WeightRoom, LargeWeightsGoWithoutWinogradFirst) {
  const Outcome free = RunWith(INT64_MAX);
  ASSERT_EQ(free.winograd, (std::vector<bool>{true, true}));
  EXPECT_GT(free.packed_bytes, 2 * (kSmall + kLarge));
  for (const auto& [most, winograd] : {std::pair(4 * (kSmall + kLarge), std::vector<bool>{true, true}),
                                       {4 * (kSmall + kLarge) - 1, std::vector<bool>{true, false}},
                                       {4 * kSmall + kLarge, std::vector<bool>{true, false}},
                                       {4 * kSmall + kLarge - 1, std::vector<bool>{false, false}},
                                       {0, std::vector<bool>{false, false}}}) {
    const Outcome outcome = RunWith(most);
    EXPECT_EQ(outcome.winograd, winograd) << most;
    EXPECT_LE(outcome.packed_bytes, std::max(most, kSmall + kLarge)) << most;
    const auto y = outcome.y.values<float>(), expected = free.y.values<float>();
    float error = 0, largest = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      error = std::max(error, std::abs(y[i] - expected[i]));
      largest = std::max(largest, std::abs(expected[i]));
    }
    EXPECT_LT(error, 5e-5f * largest) << most;
  }
}

// Forms for stride 2 take up to nine times the model's weights.
TEST(WeightRoom, HoldsAtStrideTwo) {
  for (int64_t times = 1; times <= 10; ++times)
    EXPECT_LE(RunWith(times * (kSmall + kLarge), 2).packed_bytes, times * (kSmall + kLarge)) << times;
}

}  // namespace
}  // namespace sluice
