#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tools/serve/model.h"
#include "tools/serve/service.h"

namespace sluice::serve {

class Recorder;

struct SchedulerOptions {
  int threads = 0;           // of the machine's that run models; 0: as many as a session uses
  int64_t max_queue = 4096;  // requests of all models that may wait
  int64_t max_queue_bytes = int64_t{1} << 30;  // that they may hold; those of one model half of it
  // Called with what went wrong inside, which the client is not told. From any thread; must not throw.
  std::function<void(const InferRequest&, const std::string&)> on_failure = {};
};

// Runs requests: bounded queues, batches, deadlines, priorities, fair shares for models. Thread-safe.
//
// Parameters of a request: `timeout`, microseconds from its receipt; `priority`, from 1, which runs first, to
// kLastPriority, 0 for the model's default, where one step outweighs a second of waiting, so that nothing
// waits for ever; `profile`, true for the times of the model's steps; `top`, for that many best classes as
// outputs `top_scores`, `top_indices` and `top_labels`.
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
