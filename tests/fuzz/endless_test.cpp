// Models that run without end: they load at once and stop at the deadline.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/fuzz/hostile.h"

namespace sluice::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct EndlessCase {
  bool constant;  // the number of iterations is in the model
  bool steps;     // the body computes something
};

// v2 = body(v), 2^63 - 1 times.
ModelProto EndlessLoop(const EndlessCase& c) {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {2});
  if (c.constant)
    AddInts(graph, "n", {INT64_MAX}, true);
  else
    SetType(graph->add_input(), "n", {}, TensorProto::INT64);
  AddFloats(graph, "start", {2}, {1, 2});
  NodeProto* loop = AddNode(graph, "Loop", {"n", "", c.constant ? "start" : "x"}, {"y"});
  GraphProto* body = AddGraph(loop, "body");
  SetType(body->add_input(), "i", {}, TensorProto::INT64);
  SetType(body->add_input(), "c", {}, TensorProto::BOOL);
  SetType(body->add_input(), "v", {2});
  AddNode(body, "Identity", {"c"}, {"c2"});
  AddNode(body, c.steps ? "Neg" : "Identity", {"v"}, {"v2"});
  SetType(body->add_output(), "c2", {}, TensorProto::BOOL);
  SetType(body->add_output(), "v2", {2});
  AddOutput(graph, "y");
  return model;
}

TEST(Endless, LoopsStopAtTheDeadline) {
  for (const EndlessCase& c : {EndlessCase{false, true}, {false, false}, {true, true}, {true, false}}) {
    for (const int threads : {1, 2}) {
      SCOPED_TRACE(std::string(c.constant ? "constant" : "given") + (c.steps ? " with steps" : " without"));
      const Session session = LoadProto(EndlessLoop(c), threads);
      NamedValues inputs;
      const float x[] = {1, 2};
      inputs["x"] = Tensor::From<float>({2}, x);
      if (!c.constant) inputs["n"] = Tensor::Scalar(INT64_MAX);
      RunOptions options;
      options.deadline = steady_clock::now() + milliseconds(50);
      ExpectError(ErrorCode::kDeadlineExceeded, {"deadline"}, [&] { session.Run(inputs, {}, options); });
    }
  }
}

// The loop sits in a branch that is known at load.
TEST(Endless, LoopsInKnownBranchesDoNotRunAtLoad) {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  TensorProto* go = graph->add_initializer();
  go->set_name("go");
  go->set_data_type(TensorProto::BOOL);
  go->add_int32_data(1);
  NodeProto* node = AddNode(graph, "If", {"go"}, {"y"});
  for (const char* name : {"then_branch", "else_branch"}) {
    *AddGraph(node, name) = EndlessLoop({true, true}).graph();
    node->mutable_attribute(node->attribute_size() - 1)->mutable_g()->clear_input();
  }
  AddOutput(graph, "y");
  const Session session = LoadProto(model);
  RunOptions options;
  options.deadline = steady_clock::now() + milliseconds(50);
  ExpectError(ErrorCode::kDeadlineExceeded, {"deadline"}, [&] { session.Run({}, {}, options); });
}

}  // namespace
}  // namespace sluice::test
