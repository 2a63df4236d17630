#include "tools/serve/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/cpu_quota.h"
#include "tools/serve/execution.h"
#include "tools/serve/pending.h"
#include "tools/serve/recorder.h"

namespace sluice::serve {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// How often flags of clients that went away are looked at while there is work.
constexpr milliseconds kTick{10};
// The watch stays up that long after the last request, so that it need not be woken for each.
constexpr milliseconds kLinger{1000};
constexpr char kShuttingDown[] = "the server is shutting down";

int64_t Since(Clock::time_point begin, Clock::time_point end = Clock::now()) {
  return std::chrono::duration_cast<nanoseconds>(end - begin).count();
}

// A time that cannot be reached is none at all.
Clock::time_point After(Clock::time_point from, int64_t us) {
  constexpr int64_t kYear = int64_t{365} * 24 * 3600 * 1'000'000;
  return us <= 0 || us > kYear ? Clock::time_point::max() : from + std::chrono::microseconds(us);
}

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

// Answers to give once the lock is released.
class Answers {
 public:
  void Add(Pending& pending, ServeError error) { Add(pending, Service::Answer(std::move(error))); }
  // Nothing happens where it is answered already.
  void Add(Pending& pending, Service::Answer answer) {
    if (pending.answered()) return;
    items_.push_back({std::exchange(pending.done, nullptr), std::move(answer)});
  }
  // The number given.
  int64_t Give() {
    for (auto& [done, answer] : items_) done(std::move(answer));
    return static_cast<int64_t>(std::exchange(items_, {}).size());
  }

 private:
  std::vector<std::pair<std::function<void(Service::Answer)>, Service::Answer>> items_;
};

}  // namespace

class Scheduler::Impl {
 public:
  Impl(const SchedulerOptions& options, Recorder& recorder)
      : options_(options),
        recorder_(recorder),
        threads_(options.threads > 0 ? options.threads : AvailableCpus()) {
    for (int i = 0; i < threads_; ++i) workers_.emplace_back([this] { WorkLoop(); });
    watch_ = std::jthread([this] { WatchLoop(); });
  }

  ~Impl() {
    Answers answers;
    std::vector<PendingPtr> left;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (const auto& queue : active_) {
        queue->record->AddQueued(-static_cast<int64_t>(queue->size()));
        queue->TakeAll(left);
      }
      active_.clear();
      for (const PendingPtr& pending : left)
        Fail(*pending, *pending->record, ServeError(Reason::kUnavailable, kShuttingDown), answers);
    }
    work_.notify_all();
    Close(answers.Give());
    workers_.clear();
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    watch_work_.notify_all();
    watch_ = {};
  }

  void Submit(std::shared_ptr<const Model> model, InferRequest request,
              std::function<void(Service::Answer)> done) {
    ++open_;
    const Clock::time_point now = Clock::now();
    std::shared_ptr<ModelQueue> queue;
    auto pending = std::make_unique<Pending>();
    pending->submitted = now;
    pending->done = std::move(done);
    Answers answers;
    try {
      queue = QueueOf(model);
      pending->record = queue->record;
      pending->checked = CheckRequest(*model, request);
      pending->model = std::move(model);
      pending->request = std::move(request);
      Enter(queue, pending, answers);
    } catch (const std::exception& error) {
      const InferRequest& named = pending->model ? pending->request : request;
      const ServeError fault = ToServeError(error, named, options_.on_failure);
      if (queue)
        Fail(*pending, *queue->record, fault, answers);
      else
        answers.Add(*pending, fault);
    }
    Close(answers.Give());
  }

  bool Drain(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    ++draining_;
    const bool done = idle_.wait_until(lock, until, [this] { return open_ == 0; });
    --draining_;
    return done;
  }

 private:
  // The queue of a model, made at its first request. Throws what the making of it throws.
  std::shared_ptr<ModelQueue> QueueOf(const std::shared_ptr<const Model>& model) {
    std::unique_lock lock(mutex_);
    const auto found = queues_.find(model.get());
    if (found != queues_.end() && found->second->model.lock() == model) return found->second;
    lock.unlock();
    // Reads the model's configuration, which may take a while.
    auto queue = std::make_shared<ModelQueue>(model, recorder_.For(model->info.name, model->info.version));
    lock.lock();
    std::erase_if(queues_, [](const auto& entry) { return entry.second->model.expired(); });
    return queues_.try_emplace(model.get(), std::move(queue)).first->second;
  }

  // Takes `pending` into the queue, or adds the answer why not.
  void Enter(const std::shared_ptr<ModelQueue>& queue, PendingPtr& pending, Answers& answers) {
    Pending& p = *pending;
    const Clock::time_point now = p.submitted;
    p.deadline = After(p.request.received, p.checked.timeout_us);
    if (p.request.deadline) p.deadline = std::min(p.deadline, *p.request.deadline);
    p.ready = now;
    p.order = now - seconds(p.checked.priority);
    bool wake = false, wake_watch = false;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) throw ServeError(Reason::kUnavailable, kShuttingDown);
      if (p.gone(now)) {
        Fail(p, *queue->record, GoneError(p), answers);
        return;
      }
      CheckRoom(*queue, p);
      if (queue->empty()) {
        active_.push_back(queue);
        // What it did not use while it was idle is gone.
        if (queue->running == 0) queue->used_ns = std::max(queue->used_ns, clock_ns_);
      }
      ++waiting_;
      waiting_bytes_ += p.checked.bytes;
      queue->record->AddQueued(1);
      const Clock::time_point deadline = p.deadline;
      if (p.checked.picture)
        queue->AddFiles(std::move(pending));
      else
        queue->AddReady(std::move(pending));
      queue->timing.InFlight(queue->waiting_rows() + queue->running_rows);
      if (idle_workers_ > 0) {
        const Clock::time_point start = StartOf(*queue, now);
        wake = start <= now || start < timed_until_;
      }
      wake_watch = watch_until_ == Clock::time_point::max() || deadline < watch_until_;
    }
    if (wake) work_.notify_one();
    if (wake_watch) watch_work_.notify_one();
  }

  void CheckRoom(const ModelQueue& queue, const Pending& p) const {
    const auto refuse = [&](const std::string& what) {
      const double waiting_ns = static_cast<double>(queue.size()) * queue.timing.ns_per_row();
      const int retry_s = static_cast<int>(std::clamp(std::ceil(waiting_ns / 1e9), 1.0, 30.0));
      throw ServeError(Reason::kOverloaded, what, retry_s);
    };
    if (static_cast<int64_t>(queue.size()) >= queue.max_requests)
      refuse(fmt::format("the model's queue is full: {} requests wait", queue.size()));
    if (waiting_ >= options_.max_queue)
      refuse(fmt::format("the server's queue is full: {} requests wait", waiting_));
    // One model leaves room for the others.
    const int64_t most = options_.max_queue_bytes, share = queue.bytes > 0 ? most / 2 : most;
    if (p.checked.bytes > most - waiting_bytes_ || p.checked.bytes > share - queue.bytes)
      refuse("the server's queue is full: the requests that wait hold too much memory");
  }

  static ServeError GoneError(const Pending& p) {
    if (p.request.cancelled->load(std::memory_order_relaxed))
      return ServeError(Reason::kCancelled, "the request was cancelled");
    return ServeError(Reason::kTimeout, "the deadline passed before the request was done");
  }

  // Counts and answers with an error.
  static void Fail(Pending& p, ModelRecord& record, ServeError error, Answers& answers) {
    if (p.answered()) return;
    record.Failed(error.reason(), Since(p.submitted));
    answers.Add(p, std::move(error));
  }

  // The answers were given.
  void Close(int64_t count) {
    if (count == 0 || open_.fetch_sub(count) != count) return;
    const std::lock_guard lock(mutex_);
    if (draining_ > 0) idle_.notify_all();
  }

  // When the next batch may start. A request waits for others up to the model's delay, and only as long as a
  // larger batch saves at least as much time; while cores idle, twice as much. What batches save is measured;
  // before it is known requests wait while there is other work.
  Clock::time_point BatchStartOf(const ModelQueue& queue, Clock::time_point now) const {
    if (!queue.has_ready()) return Clock::time_point::max();
    const int64_t rows = queue.ready_rows();
    if (!queue.batches || rows >= queue.timing.expected_rows()) return now;
    const bool idle = running_.empty() && !queue.has_files();
    const double saving_ns = queue.timing.SavingNs(rows);
    if (saving_ns < 0) return idle ? now : queue.first().ready + queue.max_delay;
    const nanoseconds worth(static_cast<int64_t>(idle ? saving_ns / 2 : saving_ns));
    return queue.first().ready + std::min<nanoseconds>(worth, queue.max_delay);
  }
  Clock::time_point StartOf(const ModelQueue& queue, Clock::time_point now) const {
    return queue.has_files() ? now : BatchStartOf(queue, now);
  }

  // The work of the model that has had least, if any may start; otherwise `next` becomes the time when one
  // may.
  void Choose(Clock::time_point now, Work& work, Clock::time_point& next, std::vector<PendingPtr>& gone) {
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

  // Accounts for what left a queue.
  void Left(const ModelQueue& queue, size_t size_before, int64_t bytes_before) {
    const auto left = static_cast<int64_t>(size_before - queue.size());
    waiting_ -= left;
    waiting_bytes_ -= bytes_before - queue.bytes;
    queue.record->AddQueued(-left);
  }

  void WorkLoop() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      Work work;
      Clock::time_point next;
      std::vector<PendingPtr> gone;
      Choose(Clock::now(), work, next, gone);
      if (!gone.empty()) {
        Answers answers;
        for (const PendingPtr& pending : gone) Fail(*pending, *pending->record, GoneError(*pending), answers);
        Unlocked(lock, [&] {
          Close(answers.Give());
          gone.clear();
        });
        if (!work) continue;
      }
      if (work) {
        // Others may start beside it.
        if (!active_.empty() && idle_workers_ > 0) work_.notify_one();
        Perform(work, lock);
        continue;
      }
      ++idle_workers_;
      if (next < timed_until_) {
        timed_until_ = next;
        work_.wait_until(lock, next);
        timed_until_ = Clock::time_point::max();
      } else {
        work_.wait(lock);
      }
      --idle_workers_;
    }
  }

  template <typename Fn>
  static void Unlocked(std::unique_lock<std::mutex>& lock, const Fn& fn) {
    lock.unlock();
    fn();
    lock.lock();
  }

  void Perform(Work& work, std::unique_lock<std::mutex>& lock) {
    ModelQueue& queue = *work.queue;
    const auto count = static_cast<int64_t>(work.members.size());
    std::vector<Service::Answer> results;
    std::atomic<bool> batches{queue.batches};
    const Clock::time_point begin = Clock::now();
    Unlocked(lock, [&] {
      queue.record->AddRunning(count);
      for (const PendingPtr& member : work.members)
        member->timing.queue_ns += Since(work.files ? member->submitted : member->ready, begin);
      if (work.files)
        results = ReadFiles(work);
      else
        results = RunTogether(work.members, queue, work.cancel, batches, options_.on_failure);
      queue.record->AddRunning(-count);
    });
    const Clock::time_point end = Clock::now();
    const auto spent_ns = static_cast<double>(Since(begin, end));
    queue.batches = queue.batches && batches;
    queue.used_ns += spent_ns - work.charged_ns;
    --queue.running;
    queue.running_rows -= work.rows;
    std::erase(running_, &work);
    Answers answers;
    if (work.files && results.empty()) {
      Reenter(work, end, answers);
      Unlocked(lock, [&] { Close(answers.Give()); });
      return;
    }
    if (!work.files) {
      queue.timing.Ran(work.rows, spent_ns);
    }
    for (size_t i = 0; i < work.members.size(); ++i) {
      Pending& member = *work.members[i];
      if (auto* error = std::get_if<ServeError>(&results[i])) {
        Fail(member, *queue.record, std::move(*error), answers);
      } else if (!member.answered()) {
        queue.record->Succeeded(member.timing, Since(member.submitted, end));
        answers.Add(member, std::move(results[i]));
      }
    }
    // What the requests hold goes too, without the lock.
    Unlocked(lock, [&] {
      Close(answers.Give());
      work.members.clear();
      results.clear();
    });
  }

  // Makes a request's pictures the input; an answer where that fails.
  std::vector<Service::Answer> ReadFiles(Work& work) const {
    Pending& p = *work.members[0];
    const Clock::time_point begin = Clock::now();
    std::vector<Service::Answer> failed;
    try {
      CheckedRequest& checked = p.checked;
      Tensor& input = checked.inputs[*checked.picture];
      input = work.queue->pictures->Read(input, *checked.picture, p.places);
      checked.rows = CommonRows(checked.inputs);
      checked.bytes = BytesOf(checked.inputs);
    } catch (const std::exception& error) {
      failed.push_back(ToServeError(error, p.request, options_.on_failure));
    }
    p.timing.batch_ns += Since(begin);
    return failed;
  }

  // A request whose pictures are decoded waits for its execution. It has its place already: no limit stops
  // it.
  void Reenter(Work& work, Clock::time_point now, Answers& answers) {
    PendingPtr pending = std::move(work.members[0]);
    if (pending->answered()) return;
    pending->ready = now;
    if (stopping_) {
      Fail(*pending, *pending->record, ServeError(Reason::kUnavailable, kShuttingDown), answers);
      return;
    }
    if (work.queue->empty()) active_.push_back(work.queue);
    ++waiting_;
    waiting_bytes_ += pending->checked.bytes;
    work.queue->record->AddQueued(1);
    work.queue->AddReady(std::move(pending));
  }

  // Answers requests that no one waits for any more, and stops executions without others.
  void WatchLoop() {
    std::unique_lock lock(mutex_);
    Clock::time_point busy = Clock::now();
    while (!ended_) {
      const Clock::time_point now = Clock::now();
      Answers answers;
      std::vector<PendingPtr> gone;
      const Clock::time_point next = Watch(now, gone, answers);
      if (open_ > 0) busy = now;
      const bool rest = now - busy > kLinger;
      Unlocked(lock, [&] {
        Close(answers.Give());
        gone.clear();
      });
      if (ended_) break;
      if (rest && open_ == 0) {
        watch_until_ = Clock::time_point::max();
        watch_work_.wait(lock);
        busy = Clock::now();
      } else {
        watch_until_ = std::min(next, now + kTick);
        watch_work_.wait_until(lock, watch_until_);
      }
    }
  }

  Clock::time_point Watch(Clock::time_point now, std::vector<PendingPtr>& gone, Answers& answers) {
    Clock::time_point next = Clock::time_point::max();
    for (const auto& queue : active_) {
      const size_t size_before = queue->size();
      const int64_t bytes_before = queue->bytes;
      next = std::min(next, queue->TakeGone(now, gone));
      Left(*queue, size_before, bytes_before);
    }
    std::erase_if(active_, [](const auto& queue) { return queue->empty(); });
    for (const PendingPtr& pending : gone) Fail(*pending, *pending->record, GoneError(*pending), answers);
    for (Work* work : running_) {
      bool wanted = false;
      for (const PendingPtr& member : work->members) {
        if (member->answered()) continue;
        if (member->gone(now)) {
          Fail(*member, *work->queue->record, GoneError(*member), answers);
        } else {
          wanted = true;
          next = std::min(next, member->deadline);
        }
      }
      if (!wanted) work->cancel = true;
    }
    return next;
  }

  const SchedulerOptions options_;
  Recorder& recorder_;
  const int threads_;

  std::mutex mutex_;  // of everything below but open_
  std::condition_variable work_, watch_work_, idle_;
  std::unordered_map<const Model*, std::shared_ptr<ModelQueue>> queues_;
  std::vector<std::shared_ptr<ModelQueue>> active_;  // those with requests that wait
  std::vector<Work*> running_;
  int idle_workers_ = 0;
  int draining_ = 0;
  bool stopping_ = false;  // workers end
  bool ended_ = false;     // the watch ends
  int64_t waiting_ = 0, waiting_bytes_ = 0;
  double clock_ns_ = 0;  // what the model that ran last had used
  // When a worker, or the watch, looks again without being woken.
  Clock::time_point timed_until_ = Clock::time_point::max();
  Clock::time_point watch_until_ = Clock::time_point::max();
  std::atomic<int64_t> open_{0};  // requests without an answer

  std::vector<std::jthread> workers_;
  std::jthread watch_;
};

Scheduler::Scheduler(const SchedulerOptions& options, Recorder& recorder)
    : impl_(std::make_unique<Impl>(options, recorder)) {}
Scheduler::~Scheduler() = default;

void Scheduler::Submit(std::shared_ptr<const Model> model, InferRequest request,
                       std::function<void(Service::Answer)> done) {
  impl_->Submit(std::move(model), std::move(request), std::move(done));
}

bool Scheduler::Drain(Clock::time_point until) { return impl_->Drain(until); }

}  // namespace sluice::serve
