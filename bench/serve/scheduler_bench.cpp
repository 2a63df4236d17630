// What the scheduler of `sluice serve` costs and gains: clients that send requests of batch 1 one after
// another, beside the bare session at several batch sizes.
//
//   build/release/bench/scheduler_bench --model=FILE [--shape=?x3x224x224] [--batches=1,2,4,8,16]
//       [--clients=1,8,32] [--max-batch=8] [--max-delay-us=2000]
//
// items_per_second are inferences, cpu_us the processor time of one, all threads together; p50_us and p99_us
// are from Submit to the answer, batch is the mean size of executions.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>

#include "bench/arguments.h"
#include "tools/model_args.h"
#include "tools/serve/recorder.h"
#include "tools/serve/scheduler.h"

namespace sluice::serve {
namespace {

constexpr int kThreads = 2;  // of clients, as many as the server has for HTTP

std::shared_ptr<const Model> Load(const std::string& path, const Shape& shape, const ModelConfig& config) {
  SessionOptions options;
  if (!shape.empty()) options.input_shapes[Session::Load(path).inputs().at(0).name] = shape;
  Model model{.session = Session::Load(path, options), .config = config, .info = {}};
  model.info.name = "model";
  model.info.version = "1";
  return std::make_shared<const Model>(std::move(model));
}

double ProcessorUs() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

// One input of a batch of that many; the other open sizes are 1.
NamedValues InputsOf(const Model& model, int64_t batch) {
  NamedValues inputs;
  for (ValueInfo info : model.session.inputs()) {
    Shape shape = tools::ConcreteShape(info);
    if (!info.shape.empty() && info.shape[0] < 0) shape[0] = batch;
    info.shape = shape;
    inputs.emplace(info.name, tools::Noise(info, 1));
  }
  return inputs;
}

void MeasureSession(benchmark::State& state, const std::shared_ptr<const Model>& model, int batch) {
  try {
    const NamedValues inputs = InputsOf(*model, batch);
    for (int i = 0; i < 3; ++i) model->session.Run(inputs);
    const double before = ProcessorUs();
    for (auto _ : state) benchmark::DoNotOptimize(model->session.Run(inputs));
    state.counters["cpu_us"] = (ProcessorUs() - before) / static_cast<double>(state.iterations() * batch);
  } catch (const Error& error) {
    return state.SkipWithError(error.what());
  }
  state.SetItemsProcessed(state.iterations() * batch);
}

// Clients that each have one request under way until `left` is used up. As in the server they share few
// threads, which have several answers at each waking under load: a thread each would measure how threads are
// switched.
class Clients {
 public:
  Clients(Scheduler& scheduler, const std::shared_ptr<const Model>& model, const NamedValues& inputs,
          std::atomic<int64_t>& left, std::atomic<bool>& failed)
      : scheduler_(scheduler), model_(model), inputs_(inputs), left_(left), failed_(failed) {}

  // Returns when all have their answers.
  std::vector<int64_t> Run(int count) {
    for (int i = 0; i < count; ++i) Send();
    std::unique_lock lock(mutex_);
    while (under_way_ > 0) {
      changed_.wait(lock, [this] { return answered_ > 0; });
      const int answered = std::exchange(answered_, 0);
      under_way_ -= answered;
      lock.unlock();
      for (int i = 0; i < answered; ++i) Send();
      lock.lock();
    }
    return std::move(latencies_ns_);
  }

 private:
  void Send() {
    if (left_.fetch_sub(1) <= 0) return;
    InferRequest request;
    for (const auto& [name, value] : inputs_) request.inputs.push_back({name, value.tensor(), {}});
    {
      const std::lock_guard lock(mutex_);
      ++under_way_;
    }
    scheduler_.Submit(model_, std::move(request), [this, begin = Clock::now()](Service::Answer answer) {
      if (!std::holds_alternative<InferResponse>(answer)) failed_ = true;
      const std::lock_guard lock(mutex_);
      latencies_ns_.push_back((Clock::now() - begin).count());
      if (answered_++ == 0) changed_.notify_one();
    });
  }

  Scheduler& scheduler_;
  const std::shared_ptr<const Model>& model_;
  const NamedValues& inputs_;
  std::atomic<int64_t>& left_;
  std::atomic<bool>& failed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int under_way_ = 0, answered_ = 0;
  std::vector<int64_t> latencies_ns_;
};

void MeasureScheduler(benchmark::State& state, const std::shared_ptr<const Model>& model, int clients) {
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  std::atomic<bool> failed{false};
  std::vector<int64_t> latencies_ns;
  const NamedValues inputs = InputsOf(*model, 1);
  const auto run = [&](int64_t requests) {
    std::atomic<int64_t> left{requests};
    const int threads = std::min(clients, kThreads);
    std::vector<std::vector<int64_t>> parts(static_cast<size_t>(threads));
    {
      std::vector<std::jthread> running;
      for (int i = 0; i < threads; ++i)
        running.emplace_back([&, i] {
          const int share = clients / threads + (i < clients % threads ? 1 : 0);
          parts[static_cast<size_t>(i)] = Clients(scheduler, model, inputs, left, failed).Run(share);
        });
    }
    latencies_ns.clear();
    for (const auto& part : parts) latencies_ns.insert(latencies_ns.end(), part.begin(), part.end());
  };
  run(64 * clients);  // the plans of all batch sizes
  const auto before = recorder.Statistics("model", "1").at(0);
  const double cpu_before = ProcessorUs();
  // One iteration is one request.
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(state.max_iterations)))
    run(static_cast<int64_t>(state.max_iterations));
  state.counters["cpu_us"] = (ProcessorUs() - cpu_before) / static_cast<double>(state.iterations());
  if (failed) return state.SkipWithError("a request failed");
  const auto after = recorder.Statistics("model", "1").at(0);
  state.SetItemsProcessed(state.iterations());
  std::sort(latencies_ns.begin(), latencies_ns.end());
  const auto percentile = [&](size_t percent) {
    return static_cast<double>(latencies_ns[(latencies_ns.size() - 1) * percent / 100]) / 1e3;
  };
  state.counters["p50_us"] = percentile(50);
  state.counters["p99_us"] = percentile(99);
  state.counters["batch"] = static_cast<double>(after.inference_count - before.inference_count) /
                            static_cast<double>(after.execution_count - before.execution_count);
}

}  // namespace
}  // namespace sluice::serve

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  try {
    sluice::bench::Arguments arguments(argc, argv);
    const std::string path = arguments.Text("model", "");
    const std::string shape = arguments.Text("shape", "");
    const auto batches = arguments.Numbers("batches", {1, 2, 4, 8, 16});
    const auto clients = arguments.Numbers("clients", {1, 8, 32});
    sluice::serve::ModelConfig config;
    config.max_batch_size = arguments.Numbers("max-batch", {8}).at(0);
    config.max_delay_us = arguments.Numbers("max-delay-us", {2000}).at(0);
    arguments.CheckAllUsed();
    const auto model =
        sluice::serve::Load(path, shape.empty() ? sluice::Shape() : sluice::tools::ParseShape(shape), config);
    for (int batch : batches) {
      benchmark::RegisterBenchmark(("session/batch:" + std::to_string(batch)).c_str(),
                                   sluice::serve::MeasureSession, model, batch)
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
    }
    for (int count : clients) {
      benchmark::RegisterBenchmark(("scheduler/clients:" + std::to_string(count)).c_str(),
                                   sluice::serve::MeasureScheduler, model, count)
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
    }
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& error) {
    std::cerr << "scheduler_bench: " << error.what() << "\n";
    return 1;
  }
  benchmark::Shutdown();
}
