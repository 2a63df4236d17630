#include "runtime/step_chain.h"

#include <gtest/gtest.h>

#include <cstring>

#include "graph/passes/pass.h"
#include "kernels/cache_sizes.h"
#include "runtime/executable.h"
#include "runtime/thread_pool.h"
#include "tests/graph/passes/graph_text.h"

// Steps that run a few rows at a time with the next one.

namespace sluice {
namespace {

struct Outcome {
  std::vector<Value> results;
  std::vector<StepProfile> steps;
  std::vector<std::string> seen;
};

Outcome RunOn(const std::string& network, const Shape& shape, bool by_rows, int threads) {
  const auto graph = test::ParseGraph(network);
  graph->by_rows = by_rows;
  Tensor x(DataType::kFloat, shape);
  uint32_t state = 1;
  for (float& value : x.mutable_values<float>())
    value = static_cast<float>((state = state * 1664525 + 1013904223) >> 8) / (1 << 23) - 1;
  Outcome outcome;
  ThreadPool::Get(threads)->Run([&] {
    const Executable executable(std::shared_ptr<const Graph>(graph->Clone()), 1, true);
    outcome.results = executable.Run(
        std::vector<Value>{x}, [&](const ObservedValue& value) { outcome.seen.emplace_back(value.name); });
    outcome.steps = executable.profile();
  });
  return outcome;
}

int64_t Joined(const Outcome& outcome) {
  return std::count_if(outcome.steps.begin(), outcome.steps.end(),
                       [](const StepProfile& step) { return step.kernel.ends_with(" by rows"); });
}

// Side of a picture of which 16 channels do not fit half of the L2 cache.
int64_t Side() {
  int64_t side = 128;
  while (side * side * 16 * 4 <= L2Bytes()) side += 64;
  return side;
}

void ExpectJoined(const std::string& network, const Shape& shape, int64_t joined) {
  const Outcome apart = RunOn(network, shape, false, 1);
  EXPECT_EQ(Joined(apart), 0);
  for (int threads : {1, 2, 5}) {
    const Outcome outcome = RunOn(network, shape, true, threads);
    EXPECT_EQ(Joined(outcome), joined) << network;
    ASSERT_EQ(outcome.results.size(), apart.results.size());
    for (size_t i = 0; i < apart.results.size(); ++i) {
      const Tensor &got = outcome.results[i].tensor(), &want = apart.results[i].tensor();
      ASSERT_EQ(got.shape(), want.shape());
      EXPECT_EQ(0, std::memcmp(got.data(), want.data(), static_cast<size_t>(want.byte_size()))) << network;
    }
  }
}

std::string Picture(int64_t channels, int64_t side) {
  return "x: float [1, " + std::to_string(channels) + ", " + std::to_string(side) + ", " +
         std::to_string(side) + "]\n";
}

const std::string kConv =
    "w = const [16, 3, 3, 3]\n c = Conv(x, w) {pads: [1, 1, 1, 1]} + LeakyRelu(0.1)\n"
    "p = MaxPool(c) {kernel_shape: [2, 2], strides: [2, 2]}\n";

TEST(StepChain, ConvolutionAndPool) {
  const int64_t side = Side();
  ExpectJoined(Picture(3, side) + kConv + "return p", {1, 3, side, side}, 1);
}

TEST(StepChain, InvertedResidual) {
  const int64_t side = Side();
  ExpectJoined(Picture(16, side) +
                   "w = const [32, 16, 1, 1]\n d = const [32, 1, 3, 3]\n v = const [16, 32, 1, 1]\n"
                   "a = Conv(x, w) + Relu\n b = Conv(a, d) {pads: [1, 1, 1, 1], group: 32} + Relu\n"
                   "y = Conv(b, v) + Add(x)\n return y",
               {1, 16, side, side}, 1);
}

TEST(StepChain, NotWhereOthersLookBetween) {
  const int64_t side = Side();
  ExpectJoined(Picture(3, side) + kConv + "return p, c", {1, 3, side, side}, 0);
  ExpectJoined(Picture(3, side) + kConv + "q = Abs(c)\n return p, q", {1, 3, side, side}, 0);
}

TEST(StepChain, NotWhatTheCacheHolds) {
  ExpectJoined(Picture(3, 64) + kConv + "return p", {1, 3, 64, 64}, 0);
}

TEST(StepChain, ThePassIsTheSwitch) {
  for (const bool disabled : {false, true}) {
    const auto graph = test::ParseGraph(Picture(3, 64) + kConv + "return p");
    PassContext ctx;
    RunPasses(*graph, disabled ? std::vector<std::string>{"run-by-rows"} : std::vector<std::string>(), ctx);
    EXPECT_EQ(graph->by_rows, !disabled);
    EXPECT_EQ(graph->Clone()->by_rows, !disabled);
  }
}

TEST(StepChain, IsOneStepInProfilesAndForObservers) {
  const int64_t side = Side();
  const Outcome outcome = RunOn(Picture(3, side) + kConv + "return p", {1, 3, side, side}, true, 2);
  const auto step = std::find_if(outcome.steps.begin(), outcome.steps.end(),
                                 [](const StepProfile& s) { return s.kernel.ends_with(" by rows"); });
  ASSERT_NE(step, outcome.steps.end());
  EXPECT_EQ(step->op, "Conv + LeakyRelu(0.1), MaxPool");
  EXPECT_EQ(step->node, "p");
  EXPECT_EQ(step->flops, 2 * 16 * 27 * side * side);
  EXPECT_EQ(outcome.seen, std::vector<std::string>{"p"});
}

}  // namespace
}  // namespace sluice
