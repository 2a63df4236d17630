#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tools/serve/pending.h"

namespace sluice::serve {

// What a worker does: the execution of a batch, or the decoding of one request's pictures.
struct Work {
  std::shared_ptr<ModelQueue> queue;
  std::vector<PendingPtr> members;
  bool files = false;
  int64_t rows = 0;
  std::atomic<bool> cancel{false};
  double charged_ns = 0;

  explicit operator bool() const { return queue != nullptr; }
};

// Answers to give once a lock is released.
class Answers {
 public:
  // Nothing happens where the request is answered already.
  void Add(Pending& pending, Service::Answer answer);
  // Counts the failure too.
  void Fail(Pending& pending, ServeError error);
  // Of a request that nobody waits for, or that is late.
  void FailGone(Pending& pending);
  // The number given.
  int64_t Give();

 private:
  std::vector<std::pair<std::function<void(Service::Answer)>, Service::Answer>> items_;
};

// The requests of all models that wait, and those that run: who may enter and what runs next. Not
// thread-safe.
class WaitingRoom {
 public:
  WaitingRoom(int64_t max_requests, int64_t max_bytes) : max_requests_(max_requests), max_bytes_(max_bytes) {}

  bool empty() const { return active_.empty(); }

  // Throws ServeError{kOverloaded} where there is no room, and leaves `pending` alone.
  void Enter(const std::shared_ptr<ModelQueue>& queue, PendingPtr& pending);
  // Of a request whose pictures were decoded; it has its place already, no limit stops it.
  void Reenter(const std::shared_ptr<ModelQueue>& queue, PendingPtr pending);

  // When work for the queue may start. A request waits for others up to the model's delay, and only as long
  // as a larger batch saves at least as much time; while cores idle, twice as much. What batches save is
  // measured; before it is known requests wait while there is other work.
  Clock::time_point StartOf(const ModelQueue& queue, Clock::time_point now) const;

  // The work of the model that has had least, if any may start; it then counts as running, at its place in
  // memory. Otherwise `next` becomes the time when some may. Requests found gone on the way go to `gone`.
  void Choose(Clock::time_point now, Work& work, Clock::time_point& next, std::vector<PendingPtr>& gone);
  // What Choose gave has ended after spent_ns.
  void Ended(Work& work, double spent_ns);

  // Fails all that are gone and tells executions that nobody waits for to stop. The requests that had waited
  // go to `gone`, to be freed. The earliest deadline of the others.
  Clock::time_point FailGone(Clock::time_point now, std::vector<PendingPtr>& gone, Answers& answers);
  // Takes out everything that waits.
  std::vector<PendingPtr> TakeAll();

 private:
  Clock::time_point BatchStartOf(const ModelQueue& queue, Clock::time_point now) const;
  void CheckRoom(const ModelQueue& queue, const Pending& pending) const;
  void Add(const std::shared_ptr<ModelQueue>& queue, PendingPtr pending);
  // Accounts for what left a queue.
  void Left(const ModelQueue& queue, size_t size_before, int64_t bytes_before);

  const int64_t max_requests_, max_bytes_;
  std::vector<std::shared_ptr<ModelQueue>> active_;  // those with requests that wait
  std::vector<Work*> running_;
  int64_t waiting_ = 0, waiting_bytes_ = 0;
  double clock_ns_ = 0;  // what the model that ran last had used
};

}  // namespace sluice::serve
