// What a step costs beside its work: graphs of tiny Neg operators, in a chain and side by side.
//
//   build/release/bench/scheduling_bench
//
// `per_step` is the time of a run divided by its steps.
#include <benchmark/benchmark.h>

#include <thread>

#include "graph/builder.h"
#include "graph/infer.h"
#include "runtime/executable.h"
#include "runtime/thread_pool.h"

namespace sluice {
namespace {

constexpr int kSteps = 1000;
constexpr int kOpset = 13;

std::unique_ptr<Graph> MakeGraph(bool chain) {
  auto graph = std::make_unique<Graph>();
  GraphBuilder builder(*graph, kOpset);
  const ValueId input = graph->AddValue("x", ValueType::Of(DataType::kFloat, ToSymShape(Shape{16})));
  graph->inputs = {input};
  ValueId last = input;
  for (int i = 0; i < kSteps; ++i) {
    last = builder.Op("Neg", {chain ? last : input});
    if (!chain || i + 1 == kSteps) graph->outputs.push_back(last);
  }
  InferShapes(*graph);
  return graph;
}

void Run(benchmark::State& state, bool chain, int threads) {
  const Executable executable(MakeGraph(chain), 1, false);
  Tensor x(DataType::kFloat, {16});
  for (float& value : x.mutable_values<float>()) value = 1;
  const std::vector<Value> inputs = {x};
  const auto pool = ThreadPool::Get(threads);
  for (auto _ : state) pool->Run([&] { benchmark::DoNotOptimize(executable.Run(inputs)); });
  state.counters["per_step"] = benchmark::Counter(
      kSteps, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  for (const bool chain : {true, false}) {
    for (int threads = 1; threads <= cores; threads *= 2) {
      const std::string name = std::string(chain ? "chain" : "parallel") + "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { sluice::Run(state, chain, threads); })
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
