#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <latch>
#include <thread>

#include "graph/builder.h"
#include "graph/export.h"
#include "runtime/thread_pool.h"
#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

int64_t ThreadsOfProcess() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// Convolutions, a matrix product and what lies between them, large enough for several tiles.
test::ModelProto Network() {
  test::ModelProto model = test::EmptyModel();
  test::GraphProto* graph = model.mutable_graph();
  test::SetType(graph->add_input(), "x", {1, 16, 64, 64});
  test::SetType(graph->add_output(), "y", {1, 64, 64, 64});
  std::vector<float> weights(64 * 16 * 9);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 7) - 3;
  test::AddFloats(graph, "w", {64, 16, 3, 3}, weights);
  test::AddFloats(graph, "m", {64, 64}, std::vector<float>(64 * 64, 0.5f));
  test::NodeProto* conv = test::AddNode(graph, "Conv", {"x", "w"}, {"c"});
  auto* pads = conv->add_attribute();
  pads->set_name("pads");
  pads->set_type(sluice_onnx::AttributeProto::INTS);
  for (int i = 0; i < 4; ++i) pads->add_ints(1);
  test::AddNode(graph, "LeakyRelu", {"c"}, {"r"});
  test::AddNode(graph, "MatMul", {"r", "m"}, {"y"});
  return model;
}

// An OpenMP team would add threads of its own beside the pool's. Results do not depend on the number.
TEST(ThreadsTest, NoThreadsBesideThePoolAndTheSameBits) {
  const std::string bytes = Network().SerializeAsString();
  Tensor x(DataType::kFloat, {1, 16, 64, 64});
  float value = 0;
  for (float& element : x.mutable_values<float>()) element = value = value > 1 ? -1 : value + 0.37f;
  // The caller is one of a pool's threads; workers of an earlier pool may linger.
  const int64_t before = ThreadsOfProcess();
  int64_t workers = 0;
  std::vector<float> first;
  for (int threads : {1, 2, 4}) {
    SessionOptions options;
    options.threads = threads;
    const Session session = Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
    for (int run = 0; run < 20; ++run) {
      const NamedValues results = session.Run({{"x", x}});
      const auto y = results.at("y").tensor().values<float>();
      if (first.empty()) first.assign(y.begin(), y.end());
      ASSERT_TRUE(std::equal(y.begin(), y.end(), first.begin()));
    }
    workers += threads - 1;
    EXPECT_LE(ThreadsOfProcess(), before + workers) << threads << " threads";
    if (threads == 1) {
      EXPECT_EQ(ThreadsOfProcess(), before);
    }
  }
}

TEST(ThreadsTest, AsManyRunsAsThreadsAreACrowd) {
  EXPECT_FALSE(Crowd::Here().now());
  const auto pool = ThreadPool::Get(2);
  pool->Run([&] {
    const Crowd crowd = Crowd::Here();
    EXPECT_FALSE(crowd.now());
    std::latch inside(2), seen(2);
    std::thread other([&] {
      pool->Run([&] {
        inside.arrive_and_wait();
        EXPECT_TRUE(Crowd::Here().now());
        seen.arrive_and_wait();
      });
    });
    inside.arrive_and_wait();
    EXPECT_TRUE(crowd.now());
    seen.arrive_and_wait();
    other.join();
    EXPECT_FALSE(crowd.now());
  });
  EXPECT_FALSE(Crowd::Here().now());
}

// Convolutions whose tiles share work where a run keeps to one thread.
TEST(ThreadsTest, RunsInACrowdGiveTheSameBits) {
  Graph graph;
  GraphBuilder builder(graph, 13);
  ValueId value = graph.AddValue("x", ValueType::Of(DataType::kFloat, {1, 256, 26, 26}));
  graph.inputs = {value};
  for (int64_t stride : {1, 2, 1}) {
    std::vector<float> weights(256 * 256 * 9);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i * 7 % 13) * 0.01f - 0.06f;
    const ValueId w = builder.Constant("w", Tensor::From<float>({256, 256, 3, 3}, weights));
    value = builder.Op("Conv", {value, w},
                       {{"pads", std::vector<int64_t>(4, 1)}, {"strides", std::vector<int64_t>(2, stride)}});
  }
  graph.outputs = {value};
  const std::string model = ExportOnnxBytes(graph);
  SessionOptions options;
  options.threads = 2;
  const Session session = Session::LoadBytes(std::as_bytes(std::span(model)), options);
  Tensor x(DataType::kFloat, {1, 256, 26, 26});
  float element = 0;
  for (float& to : x.mutable_values<float>()) to = element = element > 1 ? -1 : element + 0.37f;
  const NamedValues alone = session.Run({{"x", x}});
  const auto want = alone.begin()->second.tensor().values<float>();
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int run = 0; run < 10; ++run) {
        const NamedValues results = session.Run({{"x", x}});
        const auto got = results.begin()->second.tensor().values<float>();
        EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin(), want.end()));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace sluice
