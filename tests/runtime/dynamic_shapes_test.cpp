// One session serves inputs of any size: the same results as a fresh one, in bounded memory.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"
#include "tests/sanitized.h"

namespace sluice::test {
namespace {

std::vector<float> Normal(size_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, 0.2f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

// x [n, 3, h, w], sizes open but for the channels: Conv, LeakyRelu, MaxPool, Conv, Add, GlobalAveragePool.
std::string Network() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {});
  auto* shape = graph->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  for (const char* name : {"n", "", "h", "w"}) {
    auto* dim = shape->add_dim();
    if (*name)
      dim->set_dim_param(name);
    else
      dim->set_dim_value(3);
  }
  AddFloats(graph, "w1", {16, 3, 3, 3}, Normal(16 * 3 * 9, 1));
  AddFloats(graph, "w2", {16, 16, 3, 3}, Normal(16 * 16 * 9, 2));
  const auto padded = [](NodeProto* node) {
    auto* pads = node->add_attribute();
    pads->set_name("pads");
    pads->set_type(sluice_onnx::AttributeProto::INTS);
    for (int i = 0; i < 4; ++i) pads->add_ints(1);
  };
  padded(AddNode(graph, "Conv", {"x", "w1"}, {"a"}));
  AddNode(graph, "LeakyRelu", {"a"}, {"b"});
  padded(AddNode(graph, "Conv", {"b", "w2"}, {"c"}));
  AddNode(graph, "Add", {"b", "c"}, {"d"});
  AddNode(graph, "GlobalAveragePool", {"d"}, {"y"});
  for (const char* name : {"d", "y"}) {
    auto* output = graph->add_output();
    output->set_name(name);
    output->mutable_type()->mutable_tensor_type()->set_elem_type(TensorProto::FLOAT);
  }
  return model.SerializeAsString();
}

int64_t ResidentBytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(DynamicShapes, TwoThousandSizesOnOneSession) {
  const std::string bytes = Network();
  const auto load = [&] {
    SessionOptions options;
    options.threads = 2;
    options.max_plans = 4;
    return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
  };
  const Session session = load();
  std::mt19937 engine(7);
  int64_t early = 0;
  std::vector<int64_t> plans_made;  // after every run
  for (uint32_t run = 0; run < 2000; ++run) {
    SCOPED_TRACE("run " + std::to_string(run));
    const auto size = [&](uint32_t most) { return static_cast<int64_t>(1 + engine() % most); };
    const Shape shape = {size(3), 3, size(40), size(40)};
    const std::vector<float> values = Normal(static_cast<size_t>(NumElements(shape)), run);
    const NamedValues inputs = {{"x", Tensor::From<float>(shape, values)}};
    const NamedValues got = session.Run(inputs);
    ASSERT_EQ(got.at("d").tensor().shape(), (Shape{shape[0], 16, shape[2], shape[3]}));
    if (run % 20 == 0) {
      const NamedValues want = load().Run(inputs);
      for (const char* name : {"d", "y"}) {
        const auto a = got.at(name).tensor().values<float>(), b = want.at(name).tensor().values<float>();
        ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << name;
      }
    }
    if (run == 500) early = ResidentBytes();
    plans_made.push_back(session.cache().plans_made);
  }
  // 1,500 plans more.
  if (!kSanitized) {
    EXPECT_LT(ResidentBytes() - early, int64_t{64} << 20);
  }
  EXPECT_EQ(session.cache().plans, 4);
  // Late runs make no more plans than early ones: one for nearly every of the 4,800 combinations.
  EXPECT_LE(plans_made[99], 100);
  EXPECT_NEAR(plans_made[1999] - plans_made[1899], plans_made[99], 5);
}

NamedValues InputOf(const Shape& shape) {
  return {{"x", Tensor::From<float>(shape, Normal(static_cast<size_t>(NumElements(shape)), 1))}};
}

Session LoadWith(int max_plans, int64_t max_cached_bytes) {
  const std::string bytes = Network();
  SessionOptions options;
  options.threads = 2;
  options.max_plans = max_plans;
  options.max_cached_bytes = max_cached_bytes;
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

TEST(DynamicShapes, SizesSeenBeforeFindTheirPlan) {
  const Session session = LoadWith(8, int64_t{1} << 30);
  for (int round = 0; round < 50; ++round) {
    for (int64_t size = 1; size <= 8; ++size) session.Run(InputOf({1, 3, size, 2 * size}));
  }
  EXPECT_EQ(session.cache().plans_made, 8);
  EXPECT_EQ(session.cache().plans, 8);
}

TEST(DynamicShapes, WhatIsKeptStaysBelowTheCap) {
  constexpr int64_t kCap = 300'000;
  const Session session = LoadWith(1000, kCap), free = LoadWith(1000, int64_t{1} << 30);
  for (int64_t size = 1; size <= 60; ++size) {
    const NamedValues inputs = InputOf({1, 3, size, 40});
    const auto got = session.Run(inputs), want = free.Run(inputs);
    for (const char* name : {"d", "y"}) {
      const auto a = got.at(name).tensor().values<float>(), b = want.at(name).tensor().values<float>();
      ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << name << " at size " << size;
    }
    const CacheInfo cache = session.cache();
    EXPECT_LE(cache.plan_bytes + cache.idle_arena_bytes, kCap) << "at size " << size;
    EXPECT_GE(cache.plans, 1);
  }
  EXPECT_LT(session.cache().plans, 60);
  EXPECT_EQ(free.cache().plans, 60);
  // The weights that the plans share count once.
  EXPECT_LT(free.cache().plan_bytes, 60 * session.cache().plan_bytes);
}

TEST(DynamicShapes, ThePlanUsedLastIsKeptWhateverTheCap) {
  const Session session = LoadWith(16, 0);
  for (int run = 0; run < 3; ++run) session.Run(InputOf({1, 3, 20, 20}));
  EXPECT_EQ(session.cache().plans, 1);
  EXPECT_EQ(session.cache().plans_made, 1);
  EXPECT_EQ(session.cache().idle_arena_bytes, 0);
  session.Run(InputOf({1, 3, 20, 21}));
  EXPECT_EQ(session.cache().plans, 1);
  EXPECT_EQ(session.cache().plans_made, 2);
}

}  // namespace
}  // namespace sluice::test
