#include "tools/serve/scheduler.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/cpu_quota.h"
#include "tools/serve/execution.h"
#include "tools/serve/recorder.h"
#include "tools/serve/waiting_room.h"

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

}  // namespace

class Scheduler::Impl {
 public:
  Impl(const SchedulerOptions& options, Recorder& recorder)
      : options_(options),
        recorder_(recorder),
        threads_(options.threads > 0 ? options.threads : AvailableCpus()),
        room_(options.max_queue, options.max_queue_bytes) {
    for (int i = 0; i < threads_; ++i) workers_.emplace_back([this] { WorkLoop(); });
    watch_ = std::jthread([this] { WatchLoop(); });
  }

  ~Impl() {
    Answers answers;
    std::vector<PendingPtr> left;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      left = room_.TakeAll();
      for (const PendingPtr& pending : left)
        answers.Fail(*pending, ServeError(Reason::kUnavailable, kShuttingDown));
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
      answers.Fail(*pending, ToServeError(error, named, options_.on_failure));
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
    p.order = now + seconds(p.checked.priority);
    bool wake = false, wake_watch = false;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) throw ServeError(Reason::kUnavailable, kShuttingDown);
      if (p.gone(now)) return answers.FailGone(p);
      const Clock::time_point deadline = p.deadline;
      room_.Enter(queue, pending);
      if (idle_workers_ > 0) {
        const Clock::time_point start = room_.StartOf(*queue, now);
        wake = start <= now || start < timed_until_;
      }
      wake_watch = watch_until_ == Clock::time_point::max() || deadline < watch_until_;
    }
    if (wake) work_.notify_one();
    if (wake_watch) watch_work_.notify_one();
  }

  // The answers were given.
  void Close(int64_t count) {
    if (count == 0 || open_.fetch_sub(count) != count) return;
    const std::lock_guard lock(mutex_);
    if (draining_ > 0) idle_.notify_all();
  }

  void WorkLoop() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      Work work;
      Clock::time_point next;
      std::vector<PendingPtr> gone;
      room_.Choose(Clock::now(), work, next, gone);
      if (!gone.empty()) {
        Answers answers;
        for (const PendingPtr& pending : gone) answers.FailGone(*pending);
        Unlocked(lock, [&] {
          Close(answers.Give());
          gone.clear();
        });
        if (!work) continue;
      }
      if (work) {
        // Others may start beside it.
        if (!room_.empty() && idle_workers_ > 0) work_.notify_one();
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
    queue.batches = queue.batches && batches;
    room_.Ended(work, static_cast<double>(Since(begin, end)));
    Answers answers;
    if (work.files && results.empty()) {
      Reenter(work, end, answers);
      Unlocked(lock, [&] { Close(answers.Give()); });
      return;
    }
    for (size_t i = 0; i < work.members.size(); ++i) {
      Pending& member = *work.members[i];
      if (auto* error = std::get_if<ServeError>(&results[i])) {
        answers.Fail(member, std::move(*error));
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

  // A request whose pictures are decoded waits for its execution.
  void Reenter(Work& work, Clock::time_point now, Answers& answers) {
    PendingPtr pending = std::move(work.members[0]);
    if (pending->answered()) return;
    pending->ready = now;
    if (stopping_) return answers.Fail(*pending, ServeError(Reason::kUnavailable, kShuttingDown));
    room_.Reenter(work.queue, std::move(pending));
  }

  // Answers requests that no one waits for any more, and stops executions without others.
  void WatchLoop() {
    std::unique_lock lock(mutex_);
    Clock::time_point busy = Clock::now();
    while (!ended_) {
      const Clock::time_point now = Clock::now();
      Answers answers;
      std::vector<PendingPtr> gone;
      const Clock::time_point next = room_.FailGone(now, gone, answers);
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

  const SchedulerOptions options_;
  Recorder& recorder_;
  const int threads_;

  std::mutex mutex_;  // of everything below but open_
  std::condition_variable work_, watch_work_, idle_;
  std::unordered_map<const Model*, std::shared_ptr<ModelQueue>> queues_;
  WaitingRoom room_;
  int idle_workers_ = 0;
  int draining_ = 0;
  bool stopping_ = false;  // workers end
  bool ended_ = false;     // the watch ends
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
