#pragma once

#include <cstring>

#include "graph/passes/passes.h"
#include "kernels/evaluate.h"
#include "runtime/executable.h"
#include "runtime/thread_pool.h"
#include "sluice/error.h"
#include "tests/graph/passes/graph_text.h"

namespace sluice::test {

// Random inputs; unknown sizes are 2.
inline std::vector<Value> InputsFor(const Graph& graph) {
  std::vector<Value> inputs;
  std::mt19937 engine(7);
  std::normal_distribution<float> normal(0, 3);
  for (ValueId id : graph.inputs) {
    Shape shape;
    for (const Dim& dim : graph.value(id).type.shape) shape.push_back(dim.known() ? dim.value() : 2);
    Tensor tensor(graph.value(id).type.dtype, shape);
    if (tensor.dtype() == DataType::kFloat) {
      for (float& value : tensor.mutable_values<float>()) value = normal(engine);
    } else if (tensor.dtype() == DataType::kFloat16) {
      for (Half& value : tensor.mutable_values<Half>()) value = normal(engine);
    } else if (tensor.dtype() == DataType::kInt64) {
      for (int64_t& value : tensor.mutable_values<int64_t>()) value = static_cast<int64_t>(engine() % 5);
    } else {
      std::memset(tensor.mutable_data(), 0, static_cast<size_t>(tensor.byte_size()));
    }
    inputs.emplace_back(std::move(tensor));
  }
  return inputs;
}

inline std::vector<Value> RunGraph(const Graph& graph, const std::vector<Value>& inputs) {
  std::vector<Value> results;
  ThreadPool::Get(1)->Run([&] { results = Executable(graph.Clone(), 1, false).Run(inputs); });
  return results;
}

inline PassContext MakeContext(std::string_view pass) {
  PassContext ctx;
  ctx.pass = pass;
  ctx.evaluate = EvaluateOrNone;
  return ctx;
}

// `tolerance` is relative to each output's largest element, and absolute below 1.
inline void ExpectSameResults(const Graph& before, const Graph& after, double tolerance = 4e-6) {
  const std::vector<Value> inputs = InputsFor(before);
  const std::vector<Value> want = RunGraph(before, inputs), got = RunGraph(after, inputs);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const Tensor &a = got[i].tensor(), &b = want[i].tensor();
    ASSERT_EQ(a.dtype(), b.dtype());
    ASSERT_EQ(a.shape(), b.shape());
    const auto compare = [&](auto x, auto y, double bound) {
      double largest = 1;
      for (auto value : y) largest = std::max(largest, std::abs(static_cast<double>(value)));
      for (size_t j = 0; j < y.size(); ++j) {
        ASSERT_NEAR(static_cast<double>(x[j]), static_cast<double>(y[j]), bound * largest)
            << "output " << i << ", element " << j;
      }
    };
    if (a.dtype() == DataType::kFloat)
      compare(a.values<float>(), b.values<float>(), tolerance);
    else if (a.dtype() == DataType::kFloat16)
      compare(a.values<Half>(), b.values<Half>(), 1e-2);
    else
      EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.byte_size())), 0) << "output " << i;
  }
}

// `pass` makes `after` of `before`, and both give the same results.
inline void ExpectRewrite(const Pass& pass, const std::string& before, const std::string& after) {
  const auto graph = ParseGraph(before), original = graph->Clone();
  PassContext ctx = MakeContext(pass.name);
  EXPECT_TRUE(pass.run(*graph, ctx)) << before;
  Verify(*graph);
  EXPECT_EQ(PrintGraph(*graph), PrintGraph(*ParseGraph(after))) << "from\n" << before;
  EXPECT_FALSE(ctx.notes.empty()) << "nothing reported";
  ExpectSameResults(*original, *graph);
}

// `pass` leaves the graph alone; with `why`, a note says so in these words.
inline void ExpectKept(const Pass& pass, const std::string& text, const std::string& why = {}) {
  const auto graph = ParseGraph(text);
  const std::string before = PrintGraph(*graph);
  PassContext ctx = MakeContext(pass.name);
  EXPECT_FALSE(pass.run(*graph, ctx)) << text;
  EXPECT_EQ(PrintGraph(*graph), before);
  bool said = why.empty();
  for (const PassContext::Note& note : ctx.notes)
    said |= !note.applied && note.text.find(why) != std::string::npos;
  EXPECT_TRUE(said) << "no note says: " << why << "\n" << text;
}

}  // namespace sluice::test
