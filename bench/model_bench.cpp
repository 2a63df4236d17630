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
#include <charconv>
#include <filesystem>
#include <iostream>
#include <thread>

#include "sluice/session.h"
#include "tools/model_args.h"

namespace sluice {
namespace {

struct Arguments {
  std::string networks = "build/networks";
  std::vector<int> threads = {1, static_cast<int>(std::thread::hardware_concurrency())};
  std::vector<int> batches = {0};
  std::vector<int> sizes = {0};
};

struct Variant {
  const char* name;
  bool passes;
};
constexpr Variant kVariants[] = {{"fused", true}, {"unfused", false}};

std::vector<int> ParseNumbers(const std::string& text) {
  std::vector<int> numbers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    int number = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, number);
    if (error != std::errc() || stop != text.data() + end || number < 0) {
      throw Error(ErrorCode::kInvalidArgument, "'" + text + "': expected numbers with commas between");
    }
    numbers.push_back(number);
    begin = end + 1;
  }
  return numbers;
}

// Takes what Google Benchmark left of the command line.
Arguments ParseArguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const size_t equals = text.find('=');
    const std::string key = text.substr(0, equals),
                      value = equals == std::string::npos ? "" : text.substr(equals + 1);
    if (key == "--networks")
      arguments.networks = value;
    else if (key == "--threads")
      arguments.threads = ParseNumbers(value);
    else if (key == "--batches")
      arguments.batches = ParseNumbers(value);
    else if (key == "--sizes")
      arguments.sizes = ParseNumbers(value);
    else
      throw Error(ErrorCode::kInvalidArgument, "unknown option " + text);
  }
  return arguments;
}

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

void Register(const Arguments& arguments) {
  std::vector<std::filesystem::path> models;
  for (const auto& entry : std::filesystem::directory_iterator(arguments.networks)) {
    if (entry.path().extension() == ".onnx") models.push_back(entry.path());
  }
  std::sort(models.begin(), models.end());
  if (models.empty())
    throw Error(ErrorCode::kInvalidArgument, "no .onnx file in '" + arguments.networks + "'");
  for (const auto& model : models) {
    for (int threads : arguments.threads) {
      for (int batch : arguments.batches) {
        for (int size : arguments.sizes) {
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
    sluice::Register(sluice::ParseArguments(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "model_bench: " << error.what() << "\n";
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
