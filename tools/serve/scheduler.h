#pragma once

#include <functional>
#include <memory>

#include "tools/serve/model.h"
#include "tools/serve/service.h"

namespace sluice::serve {

class Recorder;

struct SchedulerOptions {
  int threads = 0;           // of the machine's that run models; 0: as many as a session uses
  int64_t max_queue = 4096;  // requests of all models that may wait
  int64_t max_queue_bytes = int64_t{1} << 30;  // that they may hold
};

// Runs requests: bounded queues, batches, deadlines, priorities, fair shares for models. Thread-safe.
class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, Recorder& recorder);
  // Requests that still wait are answered with kUnavailable; those that run are waited for.
  ~Scheduler();

  // Checks the request against the model's signature, queues it and calls `done` exactly once. Returns at
  // once.
  void Submit(std::shared_ptr<const Model> model, InferRequest request,
              std::function<void(Service::Answer)> done);

  // Until nothing waits and nothing runs, or the time is there; whether all is done.
  bool Drain(Clock::time_point until);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::serve
