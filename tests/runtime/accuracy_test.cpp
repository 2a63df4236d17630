#include "sluice/accuracy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/builder.h"
#include "graph/export.h"
#include "sluice/session.h"

namespace sluice {
namespace {

constexpr int64_t kChannels = 64, kSide = 48;

// x [1, 64, 48, 48] -> Conv 3x3 -> y.
std::string Model() {
  Graph graph;
  GraphBuilder builder(graph, 13);
  graph.inputs = {
      graph.AddValue("x", ValueType::Of(DataType::kFloat, ToSymShape(Shape{1, kChannels, kSide, kSide})))};
  Tensor weights(DataType::kFloat, {kChannels, kChannels, 3, 3});
  float value = 0.3f;
  for (float& w : weights.mutable_values<float>()) w = value = 0.37f - 0.83f * value;
  graph.outputs = {builder.Op("Conv", {graph.inputs[0], builder.Constant("w", weights)},
                              {{"pads", std::vector<int64_t>{1, 1, 1, 1}}})};
  graph.ir_version = 8;
  return ExportOnnxBytes(graph);
}

struct Outcome {
  std::string kernel;
  Tensor y;
};
Outcome RunWith(Accuracy accuracy, bool infinite = false) {
  SessionOptions options;
  options.threads = 2;
  options.accuracy = accuracy;
  options.profile = true;
  const std::string model = Model();
  const Session session = Session::LoadBytes(std::as_bytes(std::span(model)), options);
  Tensor x(DataType::kFloat, {1, kChannels, kSide, kSide});
  float value = 0.9f;
  for (float& element : x.mutable_values<float>()) element = value = 0.71f - 0.67f * value;
  if (infinite) x.mutable_values<float>()[5 * kSide + 5] = std::numeric_limits<float>::infinity();
  Outcome outcome{.kernel = "", .y = session.Run({{"x", x}}).begin()->second.tensor()};
  for (const StepProfile& step : session.profile()) {
    if (step.op.starts_with("Conv")) outcome.kernel = step.kernel;
  }
  return outcome;
}

TEST(Accuracy, DecidesWhichFormsOfWinogradRun) {
  EXPECT_EQ(RunWith(Accuracy::kDefault).kernel, "winograd 4x4");
  EXPECT_EQ(RunWith(Accuracy::kFast).kernel, "winograd 6x6");
  EXPECT_FALSE(RunWith(Accuracy::kStrict).kernel.starts_with("winograd"));
}

TEST(Accuracy, BoundsTheErrors) {
  const Tensor exact = RunWith(Accuracy::kStrict).y;
  float largest = 0;
  for (float y : exact.values<float>()) largest = std::max(largest, std::abs(y));
  for (const auto& [accuracy, bound] : {std::pair(Accuracy::kDefault, 5e-5f), {Accuracy::kFast, 5e-4f}}) {
    const Tensor y = RunWith(accuracy).y;
    float worst = 0;
    for (size_t i = 0; i < y.values<float>().size(); ++i)
      worst = std::max(worst, std::abs(y.values<float>()[i] - exact.values<float>()[i]));
    EXPECT_LE(worst, bound * largest);
    EXPECT_GT(worst, 0);
  }
}

TEST(Accuracy, StrictKeepsInfinityInItsWindows) {
  const Tensor y = RunWith(Accuracy::kStrict, true).y;
  for (int64_t row = 0; row < kSide; ++row) {
    for (int64_t col = 0; col < kSide; ++col) {
      const bool sees = std::abs(row - 5) <= 1 && std::abs(col - 5) <= 1;
      EXPECT_EQ(std::isfinite(y.values<float>()[static_cast<size_t>(row * kSide + col)]), !sees)
          << row << ", " << col;
    }
  }
}

}  // namespace
}  // namespace sluice
