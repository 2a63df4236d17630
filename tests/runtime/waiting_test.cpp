// Many nested graphs at once, on few threads and small stacks.
#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

constexpr int kBranches = 400;

// y<i> = x . m if go, else x + x: every branch has several tiles for other threads to take.
test::ModelProto ManyIfs() {
  test::ModelProto model = test::EmptyModel();
  test::GraphProto* graph = model.mutable_graph();
  test::SetType(graph->add_input(), "x", {256, 64});
  test::SetType(graph->add_input(), "go", {}, test::TensorProto::BOOL);
  test::AddFloats(graph, "m", {64, 64}, std::vector<float>(64 * 64, 0.5f));
  for (int i = 0; i < kBranches; ++i) {
    const std::string y = std::string("y").append(std::to_string(i));
    test::NodeProto* node = test::AddNode(graph, "If", {"go"}, {y});
    for (const bool then : {true, false}) {
      auto* attribute = node->add_attribute();
      attribute->set_name(then ? "then_branch" : "else_branch");
      attribute->set_type(sluice_onnx::AttributeProto::GRAPH);
      test::GraphProto* branch = attribute->mutable_g();
      test::AddNode(branch, then ? "MatMul" : "Add", {"x", then ? "m" : "x"}, {"r"});
      branch->add_output()->set_name("r");
    }
    graph->add_output()->set_name(y);
  }
  return model;
}

// On a thread with a stack of its own of this size.
void RunOnStack(size_t bytes, std::function<void()> fn) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, bytes), 0);
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    (*static_cast<std::function<void()>*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, &fn), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

// A thread that waits for one of the graphs must not begin the next on top of it.
TEST(WaitingTest, DoesNotPileUpOnTheStack) {
  const std::string bytes = ManyIfs().SerializeAsString();
  Tensor x(DataType::kFloat, {256, 64});
  for (float& element : x.mutable_values<float>()) element = 1;
  for (const int threads : {1, 2, 4}) {
    SessionOptions options;
    options.threads = threads;
    const Session session = Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
    RunOnStack(size_t{1} << 20, [&] {
      for (const bool go : {true, false}) {
        const NamedValues results = session.Run({{"x", x}, {"go", Tensor::Scalar(go)}});
        ASSERT_EQ(results.size(), static_cast<size_t>(kBranches));
        for (const auto& [name, value] : results) {
          EXPECT_EQ(value.tensor().values<float>().back(), go ? 32.0f : 2.0f) << name;
        }
      }
    });
  }
}

}  // namespace
}  // namespace sluice
