// Reductions, ArgMax and TopK of float tensors as networks have them; one thread.
//
//   build/release/bench/reduce_bench [--benchmark_filter=Mean]
//
// GB/s counts the input.
#include <benchmark/benchmark.h>

#include "graph/operator.h"
#include "kernels/kernel.h"
#include "kernels/scratch.h"

namespace sluice {
namespace {

struct Case {
  const char* name;
  const char* op;
  int opset;
  std::map<std::string, Attribute> attrs;
  Shape src, dst;
  Layout layout = Layout::kPlain;
};

void Run(benchmark::State& state, const Case& c) {
  Node node;
  node.op_type = c.op;
  const ResolvedOperator found = FindOperator("", c.op, c.opset);
  node.op = found.op;
  node.since_version = found.since_version;
  for (const auto& [name, value] : c.attrs) node.attrs.Set(name, value);
  node.inputs = {static_cast<ValueId>(0)};
  node.outputs = {static_cast<ValueId>(1), static_cast<ValueId>(2)};
  const TensorDesc src{DataType::kFloat, c.src, c.layout}, dst{DataType::kFloat, c.dst};
  PrepareContext ctx(node, {src}, {nullptr}, {dst, {DataType::kInt64, c.dst}}, {true, true}, {});
  const std::unique_ptr<Kernel> kernel = node.op->kernels[0]();
  kernel->Prepare(ctx);
  Tensor in(DataType::kFloat, {src.byte_size() / 4}), out(DataType::kDouble, {2 * dst.num_elements() + 64}),
      indices(DataType::kInt64, c.dst);
  uint32_t bits = 1;
  for (float& value : in.mutable_values<float>())
    value = static_cast<float>((bits = bits * 1664525u + 1013904223u) >> 8);
  const void* const inputs[] = {in.data()};
  void* const outputs[] = {out.mutable_data(), indices.mutable_data()};
  for (auto _ : state) {
    for (int64_t tile = 0; tile < kernel->tiles(); ++tile) {
      const Scratch scratch(ctx.request().scratch_bytes);
      kernel->Run(RunContext(inputs, outputs, scratch.data(), nullptr), tile);
    }
  }
  state.SetLabel(std::to_string(kernel->tiles()) + " tiles");
  state.SetBytesProcessed(state.iterations() * src.byte_size());
}

Attribute Axes(std::vector<int64_t> axes) { return axes; }

const Case kCases[] = {
    {"MeanHW/nchw", "ReduceMean", 13, {{"axes", Axes({2, 3})}}, {1, 256, 28, 28}, {1, 256, 1, 1}},
    {"MeanHW/nhwc",
     "ReduceMean",
     13,
     {{"axes", Axes({2, 3})}},
     {1, 256, 28, 28},
     {1, 256, 1, 1},
     Layout::kChannelsLast},
    {"MeanHW/nChw8c",
     "ReduceMean",
     13,
     {{"axes", Axes({2, 3})}},
     {1, 256, 28, 28},
     {1, 256, 1, 1},
     Layout::kBlocked8},
    {"MeanHW/nChw16c",
     "ReduceMean",
     13,
     {{"axes", Axes({2, 3})}},
     {1, 256, 28, 28},
     {1, 256, 1, 1},
     Layout::kBlocked16},
    {"MaxC/nchw", "ReduceMax", 13, {{"axes", Axes({1})}}, {1, 256, 28, 28}, {1, 1, 28, 28}},
    {"MaxC/nChw16c",
     "ReduceMax",
     13,
     {{"axes", Axes({1})}},
     {1, 256, 28, 28},
     {1, 1, 28, 28},
     Layout::kBlocked16},
    {"MeanLast", "ReduceMean", 13, {{"axes", Axes({-1})}}, {1, 197, 768}, {1, 197, 1}},
    {"SumFirst", "ReduceSum", 11, {{"axes", Axes({0})}}, {256, 1024}, {1, 1024}},
    {"SumLast4", "ReduceSum", 11, {{"axes", Axes({1})}}, {65536, 4}, {65536, 1}},
    {"LogSumExp", "ReduceLogSumExp", 13, {{"axes", Axes({1})}}, {256, 1024}, {256, 1}},
    {"ArgMaxC", "ArgMax", 13, {{"axis", int64_t{1}}}, {1, 21, 128, 128}, {1, 1, 128, 128}},
    {"ArgMaxLast", "ArgMax", 13, {{"axis", int64_t{1}}}, {256, 1000}, {256, 1}},
    {"TopK5", "TopK", 1, {{"k", int64_t{5}}}, {256, 1000}, {256, 5}},
    {"TopK500", "TopK", 1, {{"k", int64_t{500}}}, {256, 1000}, {256, 500}},
};

const bool kRegistered = [] {
  for (const Case& c : kCases)
    benchmark::RegisterBenchmark(c.name, [&c](benchmark::State& state) { Run(state, c); });
  return true;
}();

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
