#pragma once

#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "tools/serve/batch_timing.h"
#include "tools/serve/model.h"
#include "tools/serve/model_record.h"
#include "tools/serve/pictures.h"
#include "tools/serve/request_check.h"
#include "tools/serve/service.h"

namespace sluice::serve {

// A request between Submit and its answer.
struct Pending {
  std::shared_ptr<const Model> model;
  std::shared_ptr<ModelRecord> record;
  InferRequest request;
  std::function<void(Service::Answer)> done;  // empty once it is answered
  CheckedRequest checked;
  std::vector<PicturePlace> places;  // of the pictures that have become the input
  Clock::time_point submitted;
  Clock::time_point ready;  // when it could have run
  Clock::time_point order;  // the earlier the sooner it runs
  Clock::time_point deadline = Clock::time_point::max();
  Timing timing;

  bool answered() const { return done == nullptr; }
  // Nobody waits for it, or no longer may.
  bool gone(Clock::time_point now) const {
    return answered() || now >= deadline || request.cancelled->load(std::memory_order_relaxed);
  }
};

// Rows that it adds to a batch, at least one.
inline int64_t RowsOf(const Pending& pending) { return std::max<int64_t>(1, pending.checked.rows); }

using PendingPtr = std::unique_ptr<Pending>;

// The requests of one model that wait, and what is known of its runs. Not thread-safe.
class ModelQueue {
 public:
  ModelQueue(const std::shared_ptr<const Model>& model, std::shared_ptr<ModelRecord> record);

  std::weak_ptr<const Model> model;
  const std::shared_ptr<ModelRecord> record;
  // Null where the model takes no pictures.
  const std::unique_ptr<const PictureReader> pictures;
  const int64_t max_requests, max_rows;
  const std::chrono::microseconds max_delay;

  bool batches;        // requests may share an execution
  int64_t bytes = 0;   // held by those that wait
  int running = 0;     // executions and preparations under way
  double used_ns = 0;  // time on workers charged to it; the model with the least runs next
  int64_t running_rows = 0;
  BatchTiming timing;

  bool empty() const { return ready_.empty() && files_.empty(); }
  size_t size() const { return ready_.size() + files_.size(); }
  bool has_ready() const { return !ready_.empty(); }
  bool has_files() const { return !files_.empty(); }
  int64_t ready_rows() const { return ready_rows_; }
  // With one for each request whose pictures are not decoded.
  int64_t waiting_rows() const { return ready_rows_ + static_cast<int64_t>(files_.size()); }
  const Pending& first() const { return *ready_.front(); }

  // Requests whose pictures are to be decoded first.
  void AddFiles(PendingPtr pending);
  PendingPtr TakeFiles();
  void AddReady(PendingPtr pending);
  // The requests that run next, together. Those found gone on the way go to `gone`; nothing may be left.
  std::vector<PendingPtr> TakeBatch(Clock::time_point now, std::vector<PendingPtr>& gone);
  // Takes out all that are gone; the earliest deadline of the others.
  Clock::time_point TakeGone(Clock::time_point now, std::vector<PendingPtr>& gone);
  void TakeAll(std::vector<PendingPtr>& all);

 private:
  void Forget(const Pending& pending) { bytes -= pending.checked.bytes; }

  std::deque<PendingPtr> files_, ready_;  // each by order
  int64_t ready_rows_ = 0;
};

}  // namespace sluice::serve
