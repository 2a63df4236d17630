// Whole networks, fused and as written, by number of threads, batch and picture size.
//
//   bench/networks.py --output build/networks
//   build/release/bench/model_bench --networks=build/networks --threads=1,2 [--batches=1,4] [--sizes=0,608]
//       [--benchmark_filter=yolov3] [--benchmark_out=models.json]
//
// A size of 0 is the network's own. A combination that a network's operators do not allow (a fixed Flatten
// before Gemm, say) is reported as skipped.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <thread>

#include "bench/arguments.h"
#include "sluice/session.h"
#include "tools/model_args.h"

namespace sluice {
namespace {

struct Variant {
  const char* name;
  bool passes;
};
constexpr Variant kVariants[] = {{"fused", true}, {"unfused", false}};

// The model's inputs with another batch and picture size where those are not 0.
std::map<std::string, Shape> ShapesFor(const std::string& model, int batch, int size) {
  SessionOptions options;
  options.threads = 1;
  const Session session = Session::Load(model, options);
  std::map<std::string, Shape> shapes;
  for (const ValueInfo& info : session.inputs()) {
    Shape shape = info.shape;
    if (batch > 0 && !shape.empty()) shape[0] = batch;
    for (size_t i = 2; i < shape.size() && size > 0; ++i) shape[i] = size;
    shapes[info.name] = std::move(shape);
  }
  return shapes;
}

void Measure(benchmark::State& state, const std::string& model, const Variant& variant, int threads,
             int batch, int size) {
  try {
    SessionOptions options;
    options.threads = threads;
    options.passes = variant.passes;
    if (batch > 0 || size > 0) options.input_shapes = ShapesFor(model, batch, size);
    const Session session = Session::Load(model, options);
    const NamedValues inputs = tools::NoiseInputs(session, 1);
    session.Run(inputs);
    for (auto _ : state) benchmark::DoNotOptimize(session.Run(inputs));
    std::map<std::string, Shape> shapes;
    for (const auto& [name, value] : inputs) shapes[name] = value.tensor().shape();
    const PlanInfo plan = session.Prepare(shapes);
    state.counters["GFLOP/s"] = benchmark::Counter(static_cast<double>(plan.flops) / 1e9,
                                                   benchmark::Counter::kIsIterationInvariantRate);
    state.counters["arena_MB"] = static_cast<double>(plan.arena_bytes) / 1e6;
    state.counters["steps"] = static_cast<double>(plan.steps);
    state.counters["reorders"] = static_cast<double>(plan.reorders);
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}

void Register(const std::string& networks, const std::vector<int>& thread_counts,
              const std::vector<int>& batches, const std::vector<int>& sizes) {
  std::vector<std::filesystem::path> models;
  for (const auto& entry : std::filesystem::directory_iterator(networks)) {
    if (entry.path().extension() == ".onnx") models.push_back(entry.path());
  }
  std::sort(models.begin(), models.end());
  if (models.empty()) throw Error(ErrorCode::kInvalidArgument, "no .onnx file in '" + networks + "'");
  for (const auto& model : models) {
    for (int threads : thread_counts) {
      for (int batch : batches) {
        for (int size : sizes) {
          for (const Variant& variant : kVariants) {
            std::string name =
                model.stem().string() + "/" + variant.name + "/threads:" + std::to_string(threads);
            if (batch > 0) name += "/batch:" + std::to_string(batch);
            if (size > 0) name += "/size:" + std::to_string(size);
            benchmark::RegisterBenchmark(name.c_str(),
                                         [=, &variant](benchmark::State& state) {
                                           Measure(state, model.string(), variant, threads, batch, size);
                                         })
                ->Unit(benchmark::kMillisecond)
                ->UseRealTime();
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  try {
    sluice::bench::Arguments arguments(argc, argv);
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    const std::string networks = arguments.Text("networks", "build/networks");
    const auto threads =
        arguments.Numbers("threads", cores > 1 ? std::vector<int>{1, cores} : std::vector<int>{1});
    const auto batches = arguments.Numbers("batches", {0}), sizes = arguments.Numbers("sizes", {0});
    arguments.CheckAllUsed();
    sluice::Register(networks, threads, batches, sizes);
  } catch (const std::exception& error) {
    std::cerr << "model_bench: " << error.what() << "\n";
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
