#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "tools/serve/histogram.h"
#include "tools/serve/types.h"

namespace sluice::serve {

constexpr size_t kReasons = static_cast<size_t>(Reason::kInternal) + 1;
// "invalid", "timeout" and so on, for labels.
const char* ReasonName(Reason reason);

// What one version of a model has done. Thread-safe.
class ModelRecord {
 public:
  struct Numbers {
    ModelStatistics statistics;
    uint64_t failures[kReasons] = {};
    LatencyHistogram total{kLatencyBounds}, queue{kLatencyBounds}, batch{kLatencyBounds},
        compute{kLatencyBounds};
    BatchHistogram batches{kBatchBounds};
    int64_t queued = 0, running = 0;  // requests
  };

  ModelRecord(const std::string& model, const std::string& version) {
    numbers_.statistics.name = model;
    numbers_.statistics.version = version;
  }

  // A request was answered after total_ns since it was submitted.
  void Succeeded(const Timing& timing, int64_t total_ns);
  void Failed(Reason reason, int64_t total_ns);
  // An execution of `rows` inferences: preparing, running and taking apart took that long.
  void Executed(int64_t rows, int64_t input_ns, int64_t compute_ns, int64_t output_ns);
  // Requests that entered or left the queue, and that started or ended to run.
  void AddQueued(int64_t requests) { queued_.fetch_add(requests, std::memory_order_relaxed); }
  void AddRunning(int64_t requests) { running_.fetch_add(requests, std::memory_order_relaxed); }

  Numbers Read() const;

 private:
  mutable std::mutex mutex_;
  Numbers numbers_;
  std::map<int64_t, BatchStatistics> by_size_;
  std::atomic<int64_t> queued_{0}, running_{0};
};

}  // namespace sluice::serve
