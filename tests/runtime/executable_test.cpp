#include "runtime/executable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "graph/operator.h"
#include "kernels/evaluate.h"
#include "kernels/parallel.h"
#include "runtime/thread_pool.h"
#include "sluice/error.h"

namespace sluice {
namespace {

// Operators of domain "test" that use everything a kernel may ask of the planner.

// a + b, in tiles, over a's memory where that is allowed.
class AddKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    elems_ = NumElements(ctx.shape(0));
    ctx.AllowInPlace(0, 0);
  }
  int64_t tiles() const override { return 5; }
  int64_t flops() const override { return elems_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(elems_, 5, tile);
    for (int64_t i = range.begin; i < range.end; ++i) ctx.out<float>(0)[i] = ctx.in<float>(0)[i] + ctx.in<float>(1)[i];
  }

 private:
  int64_t elems_ = 0;
};

// a + 1 on blocked tensors only; padding channels stay zero.
class BlockedKernel : public Kernel {
 public:
  std::string name() const override { return "blocked"; }
  void Prepare(PrepareContext& ctx) override {
    if (ctx.shape(0).size() != 4) ctx.Decline("rank is not 4");
    shape_ = ctx.shape(0);
    ctx.SetInputLayout(0, Layout::kBlocked8);
    ctx.SetOutputLayout(0, Layout::kBlocked8);
    ctx.SetScratch(100);
  }
  int64_t tiles() const override { return shape_[0]; }
  void Run(const RunContext& ctx, int64_t n) const override {
    const int64_t blocks = (shape_[1] + 7) / 8, spatial = shape_[2] * shape_[3];
    std::fill_n(ctx.scratch<char>(), 100, 'x');
    for (int64_t i = 0; i < blocks * spatial * 8; ++i) {
      const int64_t at = n * blocks * spatial * 8 + i, channel = i / (spatial * 8) * 8 + i % 8;
      ctx.out<float>(0)[at] = channel < shape_[1] ? ctx.in<float>(0)[at] + 1 : 0;
    }
  }

 private:
  Shape shape_;
};

class ViewKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override { ctx.ShareOutput(0, 0); }
  void Run(const RunContext&, int64_t) const override {}
};

// a + 2, whose size is not known before.
class LateKernel : public Kernel {
 public:
  void Prepare(PrepareContext&) override {}
  void Run(const RunContext& ctx, int64_t) const override {
    Tensor result = ctx.value(0).tensor().Clone();
    for (float& x : result.mutable_values<float>()) x += 2;
    ctx.SetOutput(0, std::move(result));
  }
};

class ThrowKernel : public Kernel {
 public:
  void Prepare(PrepareContext&) override {}
  int64_t tiles() const override { return 3; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    if (tile == 1) throw Error(ErrorCode::kInvalidArgument, "thrown on purpose");
    if (tile == 0) ctx.out<float>(0)[0] = 0;
  }
};

const Operator kAdd{.name = "Add", .versions = {1}, .min_inputs = 2, .max_inputs = 2, .infer = InferBroadcast,
                    .kernels = {Make<AddKernel>}, .domain = "test"};
const Operator kBlocked{.name = "Blocked", .versions = {1}, .infer = InferSameAsFirst,
                        .kernels = {Make<BlockedKernel>}, .domain = "test"};
const Operator kView{.name = "View", .versions = {1}, .infer = InferSameAsFirst,
                     .kernels = {Make<ViewKernel>}, .domain = "test"};
const Operator kLate{.name = "Late", .versions = {1},
                     .infer = [](InferContext& ctx) { ctx.SetUnknownShape(0, ctx.dtype(0)); },
                     .kernels = {Make<LateKernel>}, .domain = "test"};
const Operator kThrow{.name = "Throw", .versions = {1}, .infer = InferSameAsFirst,
                      .kernels = {Make<ThrowKernel>}, .domain = "test"};
const RegisterOperator registered[] = {RegisterOperator(kAdd), RegisterOperator(kBlocked), RegisterOperator(kView),
                                       RegisterOperator(kLate), RegisterOperator(kThrow)};

const Shape kShape = {2, 3, 4, 5};

Tensor Filled(float value) {
  Tensor tensor(DataType::kFloat, kShape);
  for (float& x : tensor.mutable_values<float>()) x = value++;
  return tensor;
}

class Builder {
 public:
  Builder() : graph(std::make_shared<Graph>()) {}
  ValueId Input() {
    const ValueId id = graph->AddValue("in" + std::to_string(graph->inputs.size()));
    graph->inputs.push_back(id);
    return id;
  }
  ValueId Constant(float value) { return graph->AddConstant("constant", Filled(value)); }
  ValueId Add(const Operator& op, std::vector<ValueId> inputs) {
    Node node;
    node.op_type = std::string(op.name);
    node.domain = "test";
    node.op = &op;
    node.since_version = 1;
    node.inputs = std::move(inputs);
    node.outputs = {graph->AddValue("v" + std::to_string(graph->num_values()))};
    const ValueId output = node.outputs[0];
    graph->AddNode(std::move(node));
    return output;
  }

  std::shared_ptr<Graph> graph;
};

std::vector<Value> RunOn(int threads, const Executable& executable, const std::vector<Value>& inputs) {
  std::vector<Value> results;
  ThreadPool::Get(threads)->Run([&] { results = executable.Run(inputs); });
  return results;
}

// Node by node, every value kept: what the executable must agree with.
std::vector<Value> Reference(const Graph& graph, const std::vector<Value>& inputs) {
  std::vector<Value> values(graph.num_values());
  for (size_t i = 0; i < values.size(); ++i) values[i] = graph.value(static_cast<ValueId>(i)).constant;
  for (size_t i = 0; i < inputs.size(); ++i) values[static_cast<size_t>(graph.inputs[i])] = inputs[i];
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    std::vector<Value> in;
    for (ValueId input : node.inputs) in.push_back(values[static_cast<size_t>(input)]);
    values[static_cast<size_t>(node.outputs[0])] = Evaluate(node, in)[0].tensor().Clone();
  }
  std::vector<Value> outputs;
  for (ValueId id : graph.outputs) outputs.push_back(values[static_cast<size_t>(id)]);
  return outputs;
}

void ExpectSame(const std::vector<Value>& got, const std::vector<Value>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].tensor().shape(), want[i].tensor().shape());
    EXPECT_FALSE(got[i].tensor().is_borrowed());
    const auto a = got[i].tensor().values<float>(), b = want[i].tensor().values<float>();
    ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin())) << "output " << i;
  }
}

std::shared_ptr<Graph> RandomGraph(std::mt19937& random) {
  Builder builder;
  std::vector<ValueId> values = {builder.Input(), builder.Input(), builder.Constant(7)};
  const auto any = [&] { return values[random() % values.size()]; };
  // Mostly recent values, so that memory is freed and used again.
  const auto recent = [&] { return values[values.size() - 1 - random() % std::min<size_t>(4, values.size())]; };
  const int nodes = 1 + static_cast<int>(random() % 30);
  const bool late = random() % 3 == 0;
  for (int i = 0; i < nodes; ++i) {
    switch (random() % 8) {
      case 0: values.push_back(builder.Add(kView, {recent()})); break;
      case 1: case 2: values.push_back(builder.Add(kBlocked, {recent()})); break;
      case 3: values.push_back(builder.Add(late ? kLate : kBlocked, {any()})); break;
      default: values.push_back(builder.Add(kAdd, {recent(), random() % 2 ? recent() : any()})); break;
    }
  }
  builder.graph->outputs = {values.back()};
  for (unsigned i = 0; i < random() % 4; ++i) builder.graph->outputs.push_back(any());
  return builder.graph;
}

TEST(ExecutableTest, RandomGraphsAgreeWithNodeByNode) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const std::shared_ptr<Graph> graph = RandomGraph(random);
    const std::vector<Value> inputs = {Filled(1), Filled(100)};
    const std::vector<Value> want = Reference(*graph, inputs);
    const Executable executable(graph, 4, seed % 2 == 0);
    for (int threads : {1, 4, 4}) {
      SCOPED_TRACE("threads " + std::to_string(threads));
      ExpectSame(RunOn(threads, executable, inputs), want);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(ExecutableTest, ConcurrentRunsOfOneExecutable) {
  std::mt19937 random(11);
  const std::shared_ptr<Graph> graph = RandomGraph(random);
  const Executable executable(graph, 4, false);
  const std::vector<Value> inputs = {Filled(1), Filled(100)};
  const std::vector<Value> want = Reference(*graph, inputs);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&, caller] {
      for (int run = 0; run < 20; ++run) ExpectSame(RunOn(caller % 3 + 1, executable, inputs), want);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(ExecutableTest, ReordersOnceAndFusesNothingElse) {
  Builder builder;
  const ValueId x = builder.Input();
  const ValueId a = builder.Add(kBlocked, {x});
  const ValueId b = builder.Add(kBlocked, {a});
  const ValueId c = builder.Add(kBlocked, {x});
  builder.graph->outputs = {builder.Add(kAdd, {b, c})};
  const Executable executable(builder.graph, 1, false);
  const std::vector<InputType> types = {{ValueType::Kind::kTensor, {DataType::kFloat, kShape}}};
  executable.WithPlan(types, [](const Plan& plan) {
    // x once for both users; b and c back to row-major.
    EXPECT_EQ(plan.info.reorders, 3);
    EXPECT_EQ(plan.info.steps, 7);
    EXPECT_EQ(plan.info.flops, 2 * 3 * 4 * 5);
    EXPECT_GE(plan.info.arena_bytes, plan.info.live_peak_bytes);
  });
}

TEST(ExecutableTest, FoldsWhatDependsOnConstantsOnly) {
  Builder builder;
  const ValueId x = builder.Input();
  const ValueId two = builder.Add(kAdd, {builder.Constant(1), builder.Constant(1)});
  builder.graph->outputs = {builder.Add(kAdd, {x, two}), two, x};
  const Executable executable(builder.graph, 1, false);
  const std::vector<Value> inputs = {Filled(5)};
  executable.WithPlan(std::vector<InputType>{{ValueType::Kind::kTensor, {DataType::kFloat, kShape}}},
                      [](const Plan& plan) { EXPECT_EQ(plan.steps.size(), 1u); });
  std::vector<Value> first = RunOn(1, executable, inputs);
  ExpectSame(first, Reference(*builder.graph, inputs));
  // Writing to a result changes neither the model nor the caller's input.
  for (Value& value : first) value.tensor().mutable_values<float>()[0] = -1;
  ExpectSame(RunOn(1, executable, inputs), Reference(*builder.graph, inputs));
  EXPECT_EQ(inputs[0].tensor().values<float>()[0], 5);
}

TEST(ExecutableTest, AnErrorLeavesNothingBehind) {
  Builder builder;
  const ValueId x = builder.Input();
  const ValueId good = builder.Add(kBlocked, {x});
  builder.graph->outputs = {builder.Add(kAdd, {good, builder.Add(kThrow, {x})})};
  const Executable executable(builder.graph, 1, true);
  const std::vector<Value> inputs = {Filled(5)};
  for (int threads : {1, 2, 4}) {
    for (int i = 0; i < 50; ++i) {
      try {
        RunOn(threads, executable, inputs);
        FAIL();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
        EXPECT_STREQ(error.what(), "test.Throw: thrown on purpose");
      }
    }
  }
}

TEST(ExecutableTest, PlansAreKeptUpToTheCap) {
  Builder builder;
  const ValueId x = builder.Input();
  builder.graph->outputs = {builder.Add(kAdd, {x, x})};
  const Executable executable(builder.graph, 3, false);
  for (int round = 0; round < 3; ++round) {
    for (int64_t size = 0; size < 10; ++size) {
      Tensor tensor(DataType::kFloat, {size});
      std::fill_n(static_cast<float*>(tensor.mutable_data()), size, 1.0f);
      const std::vector<Value> inputs = {tensor};
      const std::vector<Value> results = RunOn(2, executable, inputs);
      ASSERT_EQ(results[0].tensor().num_elements(), size);
      for (float value : results[0].tensor().values<float>()) EXPECT_EQ(value, 2);
    }
  }
}

TEST(ExecutableTest, ProfileCountsRunsAndNamesSteps) {
  Builder builder;
  const ValueId x = builder.Input();
  builder.graph->outputs = {builder.Add(kBlocked, {x})};
  const Executable executable(builder.graph, 1, true);
  const std::vector<Value> inputs = {Filled(5)};
  for (int i = 0; i < 3; ++i) RunOn(2, executable, inputs);
  const std::vector<StepProfile> profile = executable.profile();
  ASSERT_EQ(profile.size(), 3u);  // reorder, blocked, reorder
  EXPECT_EQ(profile[0].op, "Reorder");
  EXPECT_EQ(profile[0].node, "in0");
  EXPECT_EQ(profile[1].kernel, "blocked");
  EXPECT_EQ(profile[1].calls, 3);
  EXPECT_EQ(profile[1].tiles, 2);
  EXPECT_GT(profile[1].total_ns, 0);
  EXPECT_EQ(profile[1].input_shapes[0], "float [2, 3, 4, 5] nChw8c");
  EXPECT_EQ(executable.trace().size(), 4u);  // blocked has two tiles
}

}  // namespace
}  // namespace sluice
