#include "runtime/run_limits.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Session Load(const test::ModelProto& model, int threads) {
  const std::string bytes = model.SerializeAsString();
  SessionOptions options;
  options.threads = threads;
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

// y = x after a loop that ends only if "go" is false: what must stop is inside of one node.
test::ModelProto EndlessLoop() {
  test::ModelProto model = test::EmptyModel();
  test::GraphProto* graph = model.mutable_graph();
  test::SetType(graph->add_input(), "x", {2});
  test::SetType(graph->add_input(), "go", {}, test::TensorProto::BOOL);
  test::SetType(graph->add_output(), "y", {2});
  test::NodeProto* loop = test::AddNode(graph, "Loop", {"", "go", "x"}, {"y"});
  auto* attribute = loop->add_attribute();
  attribute->set_name("body");
  attribute->set_type(sluice_onnx::AttributeProto::GRAPH);
  test::GraphProto* body = attribute->mutable_g();
  test::SetType(body->add_input(), "i", {}, test::TensorProto::INT64);
  test::SetType(body->add_input(), "c", {}, test::TensorProto::BOOL);
  test::SetType(body->add_input(), "v", {2});
  test::AddNode(body, "Identity", {"c"}, {"c2"});
  test::AddNode(body, "Neg", {"v"}, {"v2"});
  test::SetType(body->add_output(), "c2", {}, test::TensorProto::BOOL);
  test::SetType(body->add_output(), "v2", {2});
  return model;
}

NamedValues LoopInputs(bool go) {
  const float x[] = {1, 2};
  NamedValues inputs;
  inputs["x"] = Tensor::From<float>({2}, x);
  inputs["go"] = Tensor::Scalar<bool>(go);
  return inputs;
}

ErrorCode CodeOf(const Session& session, const NamedValues& inputs, const RunOptions& options) {
  try {
    session.Run(inputs, {}, options);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(RunLimitsTest, ADeadlineEndsARunAndLeavesTheSessionGood) {
  for (int threads : {1, 2}) {
    const Session session = Load(EndlessLoop(), threads);
    const auto begin = steady_clock::now();
    EXPECT_EQ(CodeOf(session, LoopInputs(true), {begin + milliseconds(30), nullptr}),
              ErrorCode::kDeadlineExceeded);
    const auto took = steady_clock::now() - begin;
    EXPECT_GE(took, milliseconds(30));
    EXPECT_LT(took, milliseconds(5000));
    EXPECT_EQ(CodeOf(session, LoopInputs(false), {begin, nullptr}), ErrorCode::kDeadlineExceeded);
    const NamedValues results =
        session.Run(LoopInputs(false), {}, {steady_clock::now() + std::chrono::hours(1), nullptr});
    EXPECT_EQ(results.at("y").tensor().values<float>()[1], 2);
  }
}

TEST(RunLimitsTest, AnyThreadCancels) {
  for (int threads : {1, 2}) {
    const Session session = Load(EndlessLoop(), threads);
    std::atomic<bool> cancel = false;
    std::thread other([&] {
      std::this_thread::sleep_for(milliseconds(20));
      cancel = true;
    });
    EXPECT_EQ(CodeOf(session, LoopInputs(true), {{}, &cancel}), ErrorCode::kCancelled);
    other.join();
    EXPECT_EQ(CodeOf(session, LoopInputs(false), {{}, &cancel}), ErrorCode::kCancelled);
    cancel = false;
    EXPECT_EQ(session.Run(LoopInputs(false), {}, {{}, &cancel}).at("y").tensor().values<float>()[0], 1);
    EXPECT_EQ(RunLimits::Current(), nullptr);
  }
}

}  // namespace
}  // namespace sluice
