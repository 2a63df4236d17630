// Products of float matrices, every kernel of MatMul, with the second factor constant (packed) and not.
//
//   build/release/bench/matmul_bench [--benchmark_filter=m1_]
//
// GB/s counts the second factor only: with one row, reading it is all there is to do.
#include <benchmark/benchmark.h>

#include "graph/operator.h"
#include "kernels/kernel.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"

namespace sluice {
namespace {

struct Sizes {
  int64_t batch, m, k, n;
};

Tensor Filled(const Shape& shape) {
  Tensor tensor(DataType::kFloat, shape);
  float value = 0.1f;
  for (float& element : tensor.mutable_values<float>()) element = value = 0.9f * value + 0.01f;
  return tensor;
}

void Run(benchmark::State& state, const Sizes& s, size_t candidate, bool constant) {
  Node node;
  node.op_type = "MatMul";
  node.op = FindOperator("", "MatMul", 13).op;
  node.since_version = 13;
  node.inputs = {static_cast<ValueId>(0), static_cast<ValueId>(1)};
  node.outputs = {static_cast<ValueId>(2)};
  const Tensor a = Filled({s.batch, s.m, s.k});
  const Tensor b = Filled(s.batch > 1 ? Shape{s.batch, s.k, s.n} : Shape{s.k, s.n});
  Tensor c(DataType::kFloat, {s.batch, s.m, s.n});
  PrepareContext ctx(node, {{DataType::kFloat, a.shape()}, {DataType::kFloat, b.shape()}},
                     {nullptr, constant ? &b : nullptr}, {{DataType::kFloat, c.shape()}}, {true}, {});
  const std::unique_ptr<Kernel> kernel = node.op->kernels[candidate]();
  try {
    kernel->Prepare(ctx);
  } catch (const Declined& declined) {
    state.SkipWithError(declined.reason.c_str());
    return;
  }
  const void* const in[] = {a.data(), b.data()};
  void* const out[] = {c.mutable_data()};
  const SerialScope serial;
  for (auto _ : state) {
    ForEachTile(kernel->tiles(), [&](int64_t tile) {
      const Scratch scratch(ctx.request().scratch_bytes);
      kernel->Run(RunContext(in, out, scratch.data(), nullptr), tile);
    });
  }
  state.SetLabel(kernel->name() + ", " + std::to_string(kernel->tiles()) + " tiles");
  const double runs = static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] =
      benchmark::Counter(runs * static_cast<double>(kernel->flops()) / 1e9, benchmark::Counter::kIsRate);
  state.counters["GB/s"] =
      benchmark::Counter(runs * static_cast<double>(b.byte_size()) / 1e9, benchmark::Counter::kIsRate);
}

// Fully-connected layers of VGG and ResNet, transformers' projections and heads, tiny products.
constexpr Sizes kSizes[] = {{1, 1, 25088, 4096}, {1, 1, 2048, 1000},    {1, 4, 4096, 4096},
                            {1, 16, 1024, 1024}, {1, 128, 768, 768},    {1, 197, 768, 3072},
                            {1, 512, 1024, 512}, {1, 1024, 1024, 1024}, {12, 128, 64, 128},
                            {12, 128, 128, 64},  {1000, 8, 8, 8},       {1, 3, 5, 7}};

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  using namespace sluice;
  for (const Sizes& s : kSizes) {
    for (const bool constant : {true, false}) {
      for (size_t candidate = 0; candidate < 2; ++candidate) {
        const std::string name = std::string("m").append(std::to_string(s.m)) + "_k" + std::to_string(s.k) + "_n" +
                                 std::to_string(s.n) + "_batch" + std::to_string(s.batch) +
                                 (constant ? "/constant" : "/value") + '/' + std::to_string(candidate);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          Run(state, s, candidate, constant);
        })->Unit(benchmark::kMicrosecond);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
