#include "tools/serve/model_record.h"

#include <algorithm>
#include <chrono>

namespace sluice::serve {
namespace {

void Add(Duration& duration, int64_t ns, uint64_t count = 1) {
  duration.count += count;
  duration.ns += static_cast<uint64_t>(std::max<int64_t>(0, ns));
}

}  // namespace

const char* ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kInvalid:
      return "invalid";
    case Reason::kUnauthenticated:
      return "unauthenticated";
    case Reason::kNotFound:
      return "not_found";
    case Reason::kTimeout:
      return "timeout";
    case Reason::kCancelled:
      return "cancelled";
    case Reason::kTooLarge:
      return "too_large";
    case Reason::kRateLimited:
      return "rate_limited";
    case Reason::kOverloaded:
      return "overloaded";
    case Reason::kUnavailable:
      return "unavailable";
    case Reason::kUnsupported:
      return "unsupported";
    case Reason::kInternal:
      return "internal";
  }
  return "internal";
}

void ModelRecord::Succeeded(const Timing& timing, int64_t total_ns) {
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::system_clock::now().time_since_epoch())
                             .count();
  const std::lock_guard lock(mutex_);
  ModelStatistics& statistics = numbers_.statistics;
  statistics.last_inference_ms = static_cast<uint64_t>(now_ms);
  Add(statistics.success, total_ns);
  Add(statistics.queue, timing.queue_ns);
  numbers_.total.Add(total_ns);
  numbers_.queue.Add(timing.queue_ns);
  numbers_.batch.Add(timing.batch_ns);
  numbers_.compute.Add(timing.compute_ns);
}

void ModelRecord::Failed(Reason reason, int64_t total_ns) {
  const std::lock_guard lock(mutex_);
  ++numbers_.failures[static_cast<size_t>(reason)];
  Add(numbers_.statistics.fail, total_ns);
}

void ModelRecord::Executed(int64_t rows, int64_t input_ns, int64_t compute_ns, int64_t output_ns) {
  const std::lock_guard lock(mutex_);
  ModelStatistics& statistics = numbers_.statistics;
  const auto count = static_cast<uint64_t>(std::max<int64_t>(rows, 0));
  statistics.inference_count += count;
  ++statistics.execution_count;
  Add(statistics.compute_input, input_ns, count);
  Add(statistics.compute_infer, compute_ns, count);
  Add(statistics.compute_output, output_ns, count);
  numbers_.batches.Add(rows);
  // Clients choose the sizes of what they send as a batch: a bound on how many are told apart.
  constexpr size_t kMostSizes = 256;
  if (by_size_.size() >= kMostSizes && !by_size_.contains(rows)) return;
  BatchStatistics& batch = by_size_[rows];
  batch.batch_size = count;
  Add(batch.compute_input, input_ns);
  Add(batch.compute_infer, compute_ns);
  Add(batch.compute_output, output_ns);
}

ModelRecord::Numbers ModelRecord::Read() const {
  const std::lock_guard lock(mutex_);
  Numbers numbers = numbers_;
  for (const auto& [rows, batch] : by_size_) numbers.statistics.batches.push_back(batch);
  numbers.queued = queued_.load(std::memory_order_relaxed);
  numbers.running = running_.load(std::memory_order_relaxed);
  return numbers;
}

}  // namespace sluice::serve
