#pragma once

#include <mutex>
#include <vector>

#include "runtime/frame.h"

namespace sluice {

// Sums up what the runs of one plan took, step by step. Thread-safe.
class StepProfiler {
 public:
  // After a run of a frame with tracing on.
  void Add(const Frame& frame);
  // One entry a step; times are zero where no run has been added.
  std::vector<StepProfile> Profile(const Graph& graph, const Plan& plan) const;
  // Of the run added last.
  std::vector<TraceEvent> trace() const;

 private:
  mutable std::mutex mutex_;
  int64_t calls_ = 0;
  std::vector<int64_t> total_ns_;
  std::vector<TraceEvent> last_;
};

// What a step is, without times.
StepProfile DescribeStep(const Graph& graph, const Plan& plan, const Step& step);

}  // namespace sluice
