#include "tools/serve/waiting_room.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice::serve {
namespace {

using std::chrono::nanoseconds;

ServeError GoneError(const Pending& pending) {
  if (pending.request.cancelled->load(std::memory_order_relaxed))
    return ServeError(Reason::kCancelled, "the request was cancelled");
  return ServeError(Reason::kTimeout, "the deadline passed before the request was done");
}

}  // namespace

void Answers::Add(Pending& pending, Service::Answer answer) {
  if (pending.answered()) return;
  items_.push_back({std::exchange(pending.done, nullptr), std::move(answer)});
}

void Answers::Fail(Pending& pending, ServeError error) {
  if (pending.answered()) return;
  if (pending.record) {
    const auto total = std::chrono::duration_cast<nanoseconds>(Clock::now() - pending.submitted);
    pending.record->Failed(error.reason(), total.count());
  }
  Add(pending, std::move(error));
}

void Answers::FailGone(Pending& pending) { Fail(pending, GoneError(pending)); }

int64_t Answers::Give() {
  for (auto& [done, answer] : items_) done(std::move(answer));
  return static_cast<int64_t>(std::exchange(items_, {}).size());
}

void WaitingRoom::Enter(const std::shared_ptr<ModelQueue>& queue, PendingPtr& pending) {
  CheckRoom(*queue, *pending);
  // What it did not use while it was idle is gone.
  if (queue->empty() && queue->running == 0) queue->used_ns = std::max(queue->used_ns, clock_ns_);
  Add(queue, std::move(pending));
  queue->timing.InFlight(queue->waiting_rows() + queue->running_rows);
}

void WaitingRoom::Reenter(const std::shared_ptr<ModelQueue>& queue, PendingPtr pending) {
  Add(queue, std::move(pending));
}

void WaitingRoom::Add(const std::shared_ptr<ModelQueue>& queue, PendingPtr pending) {
  if (queue->empty()) active_.push_back(queue);
  ++waiting_;
  waiting_bytes_ += pending->checked.bytes;
  queue->record->AddQueued(1);
  const bool is_file = pending->checked.picture && pending->places.empty();
  if (is_file)
    queue->AddFiles(std::move(pending));
  else
    queue->AddReady(std::move(pending));
}

void WaitingRoom::CheckRoom(const ModelQueue& queue, const Pending& pending) const {
  const auto refuse = [&](const std::string& what) {
    const double waiting_ns = static_cast<double>(queue.size()) * queue.timing.ns_per_row();
    const int retry_s = static_cast<int>(std::clamp(std::ceil(waiting_ns / 1e9), 1.0, 30.0));
    throw ServeError(Reason::kOverloaded, what, retry_s);
  };
  if (static_cast<int64_t>(queue.size()) >= queue.max_requests)
    refuse(fmt::format("the model's queue is full: {} requests wait", queue.size()));
  if (waiting_ >= max_requests_)
    refuse(fmt::format("the server's queue is full: {} requests wait", waiting_));
  // One model leaves room for the others.
  const int64_t most = max_bytes_, share = queue.bytes > 0 ? most / 2 : most;
  if (pending.checked.bytes > most - waiting_bytes_ || pending.checked.bytes > share - queue.bytes)
    refuse("the server's queue is full: the requests that wait hold too much memory");
}

Clock::time_point WaitingRoom::BatchStartOf(const ModelQueue& queue, Clock::time_point now) const {
  if (!queue.has_ready()) return Clock::time_point::max();
  const int64_t rows = queue.ready_rows();
  if (!queue.batches || rows >= queue.timing.expected_rows()) return now;
  const bool idle = running_.empty() && !queue.has_files();
  const double saving_ns = queue.timing.SavingNs(rows);
  if (saving_ns < 0) return idle ? now : queue.first().ready + queue.max_delay;
  const nanoseconds worth(static_cast<int64_t>(idle ? saving_ns / 2 : saving_ns));
  return queue.first().ready + std::min<nanoseconds>(worth, queue.max_delay);
}

Clock::time_point WaitingRoom::StartOf(const ModelQueue& queue, Clock::time_point now) const {
  return queue.has_files() ? now : BatchStartOf(queue, now);
}

void WaitingRoom::Choose(Clock::time_point now, Work& work, Clock::time_point& next,
                         std::vector<PendingPtr>& gone) {
  while (true) {
    std::shared_ptr<ModelQueue>* best = nullptr;
    next = Clock::time_point::max();
    for (std::shared_ptr<ModelQueue>& queue : active_) {
      const Clock::time_point start = StartOf(*queue, now);
      if (start > now)
        next = std::min(next, start);
      else if (best == nullptr || queue->used_ns < (*best)->used_ns)
        best = &queue;
    }
    if (best == nullptr) return;
    const std::shared_ptr<ModelQueue> queue = *best;
    const size_t before = queue->size();
    const int64_t bytes_before = queue->bytes;
    const bool execute = BatchStartOf(*queue, now) <= now;
    if (execute)
      work.members = queue->TakeBatch(now, gone);
    else
      work.members.push_back(queue->TakeFiles());
    Left(*queue, before, bytes_before);
    if (queue->empty()) std::erase(active_, queue);
    if (work.members.empty()) continue;  // all were gone
    clock_ns_ = std::max(clock_ns_, queue->used_ns);
    work.files = !execute;
    work.queue = queue;
    for (const PendingPtr& member : work.members) work.rows += RowsOf(*member);
    if (execute) {
      work.charged_ns = queue->timing.ns_per_row() * static_cast<double>(work.rows);
      queue->timing.Started();
    }
    queue->running_rows += work.rows;
    queue->used_ns += work.charged_ns;
    ++queue->running;
    running_.push_back(&work);
    return;
  }
}

void WaitingRoom::Ended(Work& work, double spent_ns) {
  ModelQueue& queue = *work.queue;
  queue.used_ns += spent_ns - work.charged_ns;
  --queue.running;
  queue.running_rows -= work.rows;
  if (!work.files) queue.timing.Ran(work.rows, spent_ns);
  std::erase(running_, &work);
}

void WaitingRoom::Left(const ModelQueue& queue, size_t size_before, int64_t bytes_before) {
  const auto left = static_cast<int64_t>(size_before - queue.size());
  waiting_ -= left;
  waiting_bytes_ -= bytes_before - queue.bytes;
  queue.record->AddQueued(-left);
}

Clock::time_point WaitingRoom::FailGone(Clock::time_point now, std::vector<PendingPtr>& gone,
                                        Answers& answers) {
  Clock::time_point next = Clock::time_point::max();
  for (const auto& queue : active_) {
    const size_t size_before = queue->size();
    const int64_t bytes_before = queue->bytes;
    next = std::min(next, queue->TakeGone(now, gone));
    Left(*queue, size_before, bytes_before);
  }
  std::erase_if(active_, [](const auto& queue) { return queue->empty(); });
  for (const PendingPtr& pending : gone) answers.FailGone(*pending);
  for (Work* work : running_) {
    bool wanted = false;
    for (const PendingPtr& member : work->members) {
      if (member->answered()) continue;
      if (member->gone(now)) {
        answers.FailGone(*member);
      } else {
        wanted = true;
        next = std::min(next, member->deadline);
      }
    }
    if (!wanted) work->cancel = true;
  }
  return next;
}

std::vector<PendingPtr> WaitingRoom::TakeAll() {
  std::vector<PendingPtr> all;
  for (const auto& queue : active_) {
    queue->record->AddQueued(-static_cast<int64_t>(queue->size()));
    queue->TakeAll(all);
  }
  active_.clear();
  waiting_ = waiting_bytes_ = 0;
  return all;
}

}  // namespace sluice::serve
