#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "runtime/executable.h"
#include "runtime/thread_pool.h"
#include "sluice/error.h"
#include "tests/graph/passes/graph_text.h"

namespace sluice {
namespace {

struct Seen {
  std::string op;
  int64_t step = 0;
  std::vector<float> values;
};

std::map<std::string, Seen> Watch(const Graph& graph, const std::vector<Value>& inputs, int threads) {
  std::map<std::string, Seen> seen;
  ThreadPool::Get(threads)->Run([&] {
    Executable(std::shared_ptr<const Graph>(graph.Clone()), 1, false)
        .Run(inputs, [&](const ObservedValue& value) {
          const auto elements = value.value->tensor().values<float>();
          seen[value.name] = {value.op, value.step, {elements.begin(), elements.end()}};
        });
  });
  return seen;
}

std::vector<Value> InputOf(const Shape& shape) {
  Tensor x(DataType::kFloat, shape);
  float next = -20;
  for (float& value : x.mutable_values<float>()) value = next += 0.37f;
  return {x};
}

// Convolutions hand their result on in blocks of channels, and sums overwrite what they read.
const char* const kNetwork =
    "x: float [1, 16, 9, 9]\n w = const [32, 16, 3, 3]\n v = const [16, 32, 1, 1]\n"
    "a = Conv(x, w) {pads: [1, 1, 1, 1]} + LeakyRelu(0.1)\n b = Add(a, 1)\n c = Mul(b, 2)\n d = Conv(c, v)\n "
    "return d, b";

TEST(Observer, SeesEveryValueBeforeItIsOverwritten) {
  const auto graph = test::ParseGraph(kNetwork);
  const std::vector<Value> inputs = InputOf({1, 16, 9, 9});
  for (int threads : {1, 3}) {
    const auto seen = Watch(*graph, inputs, threads);
    ASSERT_EQ(seen.size(), 4u);
    EXPECT_EQ(seen.at("a").op, "Conv + LeakyRelu(0.1)");
    EXPECT_LT(seen.at("a").step, seen.at("b").step);
    EXPECT_LT(seen.at("c").step, seen.at("d").step);
    for (size_t i = 0; i < seen.at("a").values.size(); ++i) {
      ASSERT_EQ(seen.at("b").values[i], seen.at("a").values[i] + 1);
      ASSERT_EQ(seen.at("c").values[i], seen.at("b").values[i] * 2);
    }
  }
}

TEST(Observer, SeesTheSameOnAnyNumberOfThreads) {
  const auto graph = test::ParseGraph(kNetwork);
  const std::vector<Value> inputs = InputOf({1, 16, 9, 9});
  const auto one = Watch(*graph, inputs, 1), three = Watch(*graph, inputs, 3);
  for (const auto& [name, seen] : one) EXPECT_EQ(seen.values, three.at(name).values) << name;
}

TEST(Observer, SeesValuesWhoseSizeTheRunFinds) {
  const auto graph =
      test::ParseGraph("x: float [5]\n c = Greater(x, 0)\n k = Compress(x, c)\n y = Neg(k)\n return y");
  std::vector<Value> inputs = {Tensor::From<float>({5}, std::vector<float>{-1, 2, -3, 4, 5})};
  std::vector<float> kept;
  ThreadPool::Get(1)->Run([&] {
    Executable(std::shared_ptr<const Graph>(graph->Clone()), 1, false)
        .Run(inputs, [&](const ObservedValue& value) {
          if (value.name != "k") return;
          const auto elements = value.value->tensor().values<float>();
          kept.assign(elements.begin(), elements.end());
        });
  });
  EXPECT_EQ(kept, (std::vector<float>{2, 4, 5}));
}

TEST(Observer, EndsTheRunByThrowing) {
  const auto graph = test::ParseGraph(kNetwork);
  const std::vector<Value> inputs = InputOf({1, 16, 9, 9});
  for (int threads : {1, 3}) {
    ThreadPool::Get(threads)->Run([&] {
      const Executable executable(std::shared_ptr<const Graph>(graph->Clone()), 1, false);
      EXPECT_THROW(
          executable.Run(inputs, [](const ObservedValue&) { throw Error(ErrorCode::kCancelled, "enough"); }),
          Error);
      EXPECT_EQ(executable.Run(inputs).size(), 2u);
    });
  }
}

// Step times of one run alone: other runs, before, after and at the same time, neither have nor change them.
TEST(RunProfile, IsOfOneRun) {
  const auto graph = test::ParseGraph(kNetwork);
  const std::vector<Value> inputs = InputOf({1, 16, 9, 9});
  for (int threads : {1, 3}) {
    ThreadPool::Get(threads)->Run([&] {
      const Executable executable(std::shared_ptr<const Graph>(graph->Clone()), 1, false);
      const std::vector<Value> plain = executable.Run(inputs);
      std::vector<StepProfile> profile;
      const std::vector<Value> profiled = executable.Run(inputs, {}, &profile);
      ASSERT_GE(profile.size(), 4u);
      int64_t total_ns = 0;
      for (const StepProfile& step : profile) {
        EXPECT_EQ(step.calls, 1);
        total_ns += step.total_ns;
      }
      EXPECT_GT(total_ns, 0);
      EXPECT_TRUE(executable.profile().empty());
      for (size_t i = 0; i < plain.size(); ++i) {
        const auto a = plain[i].tensor().values<float>(), b = profiled[i].tensor().values<float>();
        EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
      }
      std::vector<StepProfile> failed = profile;
      EXPECT_THROW(executable.Run(
                       inputs, [](const ObservedValue&) { throw Error(ErrorCode::kCancelled, "enough"); }, &failed),
                   Error);
      executable.Run(inputs);
    });
  }
}

}  // namespace
}  // namespace sluice
