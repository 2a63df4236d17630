#include "tools/step_groups.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "graph/passes/pass.h"
#include "kernels/evaluate.h"
#include "sluice/error.h"
#include "tests/graph/passes/graph_text.h"
#include "tools/files.h"

namespace sluice::tools {
namespace {

using test::ParseGraph;

// "Conv + LeakyRelu(0.1): y z" with the outputs of members.
std::vector<std::string> Grouped(const Graph& original, std::vector<StepGroup>* groups_out = nullptr) {
  const std::unique_ptr<Graph> optimized = original.Clone();
  PassContext ctx;
  ctx.evaluate = EvaluateOrNone;
  RunPasses(*optimized, {}, ctx);
  const std::vector<StepGroup> groups = GroupBySteps(original, *optimized);
  std::vector<std::string> texts;
  size_t members = 0;
  for (const StepGroup& group : groups) {
    std::string text = group.label + ":";
    for (NodeId id : group.members) text += " " + original.value(original.node(id).outputs[0]).name;
    members += group.members.size();
    texts.push_back(text);
  }
  EXPECT_EQ(members, original.num_nodes()) << "every node is in one group";
  if (groups_out != nullptr) *groups_out = groups;
  return texts;
}

TEST(StepGroups, ConvolutionWithItsActivation) {
  const auto graph = ParseGraph(R"(x: float [1, 3, 8, 8]  w = const [4, 3, 3, 3]
    y = Conv(x, w)  a = Mul(y, 0.1)  z = Max(y, a)  p = MaxPool(z) {kernel_shape: [2, 2]}  return p)");
  const std::vector<std::string> groups = Grouped(*graph);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_NE(groups[0].find("y a z"), std::string::npos) << groups[0];
  EXPECT_NE(groups[0].find("LeakyRelu(0.1)"), std::string::npos) << groups[0];
  EXPECT_EQ(groups[1], "MaxPool: p");
}

TEST(StepGroups, WhatIsFoldedBelongsToItsUserAndWhatNothingUsesIsAlone) {
  const auto graph = ParseGraph(R"(x: float [2, 8]  c = const [8]
    e = Exp(c)  dead = Tanh(x)  y = Add(x, e)  i = Identity(y)  z = Softmax(i)  return z)");
  const std::vector<std::string> groups = Grouped(*graph);
  EXPECT_NE(std::find(groups.begin(), groups.end(), "Tanh: dead"), groups.end());
  EXPECT_TRUE(std::any_of(groups.begin(), groups.end(), [](const std::string& text) {
    return text.find(" e") != std::string::npos && text.find(" y") != std::string::npos;
  }));
}

TEST(StepGroups, TransposesThatMove) {
  const auto graph = ParseGraph(R"(x: float [1, 4, 4, 3]
    t = Transpose(x) {perm: [0, 3, 1, 2]}  r = Sigmoid(t)  u = Transpose(r) {perm: [0, 2, 3, 1]}  v = Tanh(u)  return v)");
  Grouped(*graph);
}

TEST(StepGroups, TimesGoToTheStepsOfTheirNames) {
  const auto graph = ParseGraph("x: float [2, 8]\n y = Softmax(x)\n z = Tanh(y)\n return z");
  std::vector<StepGroup> groups;
  Grouped(*graph, &groups);
  ASSERT_FALSE(groups.empty());
  ASSERT_FALSE(groups[0].steps.empty());
  const std::vector<StepTime> times = {{groups[0].steps[0], "simd", 2.5}, {"elsewhere", "reorder", 0.5}};
  const OtherSteps others = AddTimes(times, groups);
  EXPECT_DOUBLE_EQ(groups[0].ms, 2.5);
  EXPECT_EQ(groups[0].kernel, "simd");
  EXPECT_EQ(others.count, 1);
  EXPECT_DOUBLE_EQ(others.ms, 0.5);
}

TEST(StepGroups, OperatorsThatRanAsOneAreOne) {
  const auto graph = ParseGraph(R"(x: float [1, 3, 8, 8]  w = const [4, 3, 3, 3]  v = const [4, 4, 3, 3]
    y = Conv(x, w)  c = Clip(y, 0, 6)  p = MaxPool(c) {kernel_shape: [2, 2]}  z = Conv(p, v)  return z)");
  std::vector<StepGroup> groups;
  ASSERT_EQ(Grouped(*graph, &groups).size(), 3u);
  const std::string pool = groups[1].steps[0], conv = groups[2].steps[0], first = groups[0].label;
  EXPECT_EQ(groups[1].source, groups[0].steps[0]);
  const std::vector<StepTime> times = {{pool, "direct, max", 2, first + ", MaxPool"}, {conv, "winograd", 1, "Conv"}};
  EXPECT_EQ(AddTimes(times, groups).count, 0);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].label, first + ", MaxPool");
  EXPECT_EQ(groups[0].members.size(), 3u);
  EXPECT_DOUBLE_EQ(groups[0].ms, 2);
  EXPECT_DOUBLE_EQ(groups[1].ms, 1);
}

class StepTimes : public testing::Test {
 protected:
  void SetUp() override { path_ = testing::TempDir() + "/times-" + std::to_string(getpid()) + ".json"; }
  void TearDown() override { std::filesystem::remove(path_); }
  std::vector<StepTime> Read(const std::string& text) {
    WriteFile(path_, text);
    return ReadStepTimes(path_);
  }
  std::string path_;
};

TEST_F(StepTimes, OfATraceFromFirstToLastPiece) {
  const auto times = Read(R"({"traceEvents": [
    {"ph": "X", "name": "Conv", "ts": 10, "dur": 40, "args": {"node": "a", "kernel": "k"}},
    {"ph": "M", "name": "thread_name", "args": {"name": "thread 0"}},
    {"ph": "X", "name": "Conv", "ts": 30, "dur": 50, "args": {"node": "a", "kernel": "k"}},
    {"ph": "X", "name": "Add", "ts": 90, "dur": 1, "args": {"node": "b", "kernel": "l"}}]})");
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].node, "a");
  EXPECT_DOUBLE_EQ(times[0].ms, 0.07);
  EXPECT_EQ(times[0].op, "Conv");
  EXPECT_EQ(times[1].kernel, "l");
}

TEST_F(StepTimes, OfFigures) {
  const auto times = Read(R"({"steps": [{"node": "a", "operator": "Conv, Relu", "kernel": "k", "ms": 1.5}]})");
  ASSERT_EQ(times.size(), 1u);
  EXPECT_EQ(times[0].op, "Conv, Relu");
  EXPECT_DOUBLE_EQ(times[0].ms, 1.5);
}

TEST(StepTimesOf, TakesTheMedianOfEachStep) {
  std::vector<std::vector<StepProfile>> runs(3, std::vector<StepProfile>(2));
  for (size_t i = 0; i < 3; ++i) {
    runs[i][0].node = "a";
    runs[i][0].kernel = "direct";
    runs[i][0].total_ns = i == 1 ? 90'000'000 : 1'000'000 * (static_cast<int64_t>(i) + 1);
    runs[i][1].total_ns = 5'000'000;
  }
  const std::vector<StepTime> times = StepTimesOf(runs);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].node, "a");
  EXPECT_EQ(times[0].kernel, "direct");
  EXPECT_EQ(times[0].ms, 3);
  EXPECT_EQ(times[1].ms, 5);
  EXPECT_TRUE(StepTimesOf({}).empty());
}

TEST_F(StepTimes, RefusesOthers) {
  for (const char* text :
       {"", "[]", "{}", "3", R"({"steps": []})", R"({"steps": [{"node": 1}]})", R"({"steps": 3})",
        R"({"traceEvents": [{"ph": "X", "args": 3}]})", R"({"traceEvents": [1]})"}) {
    try {
      Read(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << text;
      EXPECT_NE(std::string(error.what()).find(path_), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace sluice::tools
