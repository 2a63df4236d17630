// What fusion gains on every distinct convolution of the benchmark networks, each followed by LeakyRelu(0.1):
//
//   bench/networks.py --output build/networks
//   build/release/bench/fusion_bench --networks=build/networks --threads=1,2
//       [--benchmark_filter='yolov3/'] [--benchmark_out=layers.json]
//
//   LAYER/separate  oneDNN's convolution on tiles, then LeakyRelu as a step of its own
//   LAYER/fused     oneDNN's convolution on tiles with LeakyRelu as post-op
//   LAYER/best      the kernel that the planner chooses
//   LAYER/plain     a program that calls oneDNN alone: the whole layer as one primitive with LeakyRelu as
//   post-op, on
//                   oneDNN's own threads
//   peak/fma, peak/memory   what the machine can do
//
// GFLOP/s counts the direct algorithm's operations; `fma_share` is the share of the measured peak of fused
// multiply-adds, `memory_share` that of the measured bandwidth with source, weights and output moved once.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <latch>
#include <thread>

#include "bench/arguments.h"
#include "bench/conv_layers.h"
#include "bench/layer_step.h"
#include "bench/machine_peak.h"
#include "bench/plain_conv.h"
#include "runtime/thread_pool.h"
#include "sluice/error.h"

namespace sluice::bench {
namespace {

// The sum of what `threads` threads measure at the same time.
double OnThreads(int threads, const std::function<double()>& measure) {
  std::vector<double> results(static_cast<size_t>(threads));
  std::latch start(threads);
  {
    std::vector<std::jthread> pool;
    for (double& result : results) {
      pool.emplace_back([&] {
        start.arrive_and_wait();
        result = measure();
      });
    }
  }
  double sum = 0;
  for (double result : results) sum += result;
  return sum;
}

struct Peaks {
  double fma_gflops, read_gbps;
};

const Peaks& PeaksOf(int threads) {
  static std::map<int, Peaks> known;
  const auto found = known.find(threads);
  if (found != known.end()) return found->second;
  return known[threads] = {OnThreads(threads, MeasureFmaGflops), OnThreads(threads, MeasureReadGBps)};
}

void Report(benchmark::State& state, const ConvLayer& layer, int64_t flops, int threads) {
  const double bytes =
      4.0 * static_cast<double>(NumElements(layer.src) + NumElements(layer.weights) + NumElements(layer.dst));
  const Peaks& peaks = PeaksOf(threads);
  const auto rate = [&](double amount) {
    return benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["GFLOP/s"] = rate(static_cast<double>(flops) / 1e9);
  state.counters["fma_share"] = rate(static_cast<double>(flops) / 1e9 / peaks.fma_gflops);
  state.counters["memory_share"] = rate(bytes / 1e9 / peaks.read_gbps);
  state.counters["flop_per_byte"] = static_cast<double>(flops) / bytes;
}

using Measurement = void (*)(benchmark::State&, const ConvLayer&, int threads);

// `run` on a pool of as many threads, for every iteration.
void Iterate(benchmark::State& state, int threads, const std::function<void()>& run) {
  const auto pool = ThreadPool::Get(threads);
  pool->Run(run);
  for (auto _ : state) pool->Run(run);
}

void Separate(benchmark::State& state, const ConvLayer& layer, int threads) {
  const LayerStep conv(layer, false, "oneDNN");
  const LayerStep leaky(conv);
  Iterate(state, threads, [&] {
    conv.Run();
    leaky.Run();
  });
  state.SetLabel(conv.kernel());
  Report(state, layer, conv.flops(), threads);
}

template <bool kBest>
void Fused(benchmark::State& state, const ConvLayer& layer, int threads) {
  const LayerStep conv(layer, true, kBest ? "" : "oneDNN");
  Iterate(state, threads, [&] { conv.Run(); });
  state.SetLabel(conv.kernel());
  Report(state, layer, conv.flops(), threads);
}

void Plain(benchmark::State& state, const ConvLayer& layer, int threads) {
  const PlainConv conv(layer, threads);
  conv.Run();
  for (auto _ : state) conv.Run();
  state.SetLabel(conv.implementation());
  Report(state, layer, conv.flops(), threads);
}

struct Variant {
  const char* name;
  Measurement measure;
};
constexpr Variant kVariants[] = {
    {"separate", Separate}, {"fused", Fused<false>}, {"best", Fused<true>}, {"plain", Plain}};

void Register(const std::string& name, std::function<void(benchmark::State&)> measure) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [measure = std::move(measure)](benchmark::State& state) {
                                 try {
                                   measure(state);
                                 } catch (const Error& error) {
                                   state.SkipWithError(error.what());
                                 }
                               })
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

void RegisterAll(const std::vector<ConvLayer>& layers, const std::vector<int>& threads) {
  for (int count : threads) {
    const std::string suffix = "/threads:" + std::to_string(count);
    Register("peak/fma" + suffix, [=](benchmark::State& state) {
      for (auto _ : state) state.counters["GFLOP/s"] = PeaksOf(count).fma_gflops;
    });
    Register("peak/memory" + suffix, [=](benchmark::State& state) {
      for (auto _ : state) state.counters["GB/s"] = PeaksOf(count).read_gbps;
    });
  }
  for (const ConvLayer& layer : layers) {
    for (int count : threads) {
      for (const Variant& variant : kVariants) {
        Register(layer.name + '/' + variant.name + "/threads:" + std::to_string(count),
                 [=, &variant](benchmark::State& state) { variant.measure(state, layer, count); });
      }
    }
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  try {
    sluice::bench::Arguments arguments(argc, argv);
    const std::string networks = arguments.Text("networks", "build/networks");
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    const std::vector<int> threads =
        arguments.Numbers("threads", cores > 1 ? std::vector<int>{1, cores} : std::vector<int>{1});
    arguments.CheckAllUsed();
    sluice::bench::RegisterAll(sluice::bench::ConvLayersOf(networks), threads);
  } catch (const std::exception& error) {
    std::cerr << "fusion_bench: " << error.what() << "\n";
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
