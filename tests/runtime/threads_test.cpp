#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

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

}  // namespace
}  // namespace sluice
