#include "runtime/thread_pool.h"

#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_scheduler_observer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "kernels/onednn/threading.h"
#include "kernels/parallel.h"
#include "kernels/task_order.h"
#include "runtime/cpu_quota.h"

namespace sluice {
namespace {

thread_local Crowd crowd_here;

}  // namespace

Crowd Crowd::Here() { return crowd_here; }

// Counts a run that is at work on this thread.
class CrowdScope {
 public:
  CrowdScope(std::atomic<int>& at_work, const std::atomic<int>& entered, int threads, bool threads_fit)
      : at_work_(at_work), outer_(crowd_here) {
    at_work_.fetch_add(1, std::memory_order_relaxed);
    crowd_here.at_work_ = &at_work;
    crowd_here.entered_ = &entered;
    crowd_here.threads_ = threads;
    crowd_here.threads_fit_ = threads_fit;
  }
  ~CrowdScope() {
    at_work_.fetch_sub(1, std::memory_order_relaxed);
    crowd_here = outer_;
  }
  CrowdScope(const CrowdScope&) = delete;
  CrowdScope& operator=(const CrowdScope&) = delete;

 private:
  std::atomic<int>& at_work_;
  const Crowd outer_;
};

namespace {

class CallerThread : public ThreadPool {
 public:
  int threads() const override { return 1; }
  void Run(const std::function<void()>& fn) const override {
    const SerialScope serial;
    const SingleThreaded single;
    fn();
  }
  // The process's threads, each run on one of them.
  void Enqueue(std::function<void()> fn) const override {
    static auto& arena = *new tbb::task_arena(AvailableCpus(), 0);
    arena.enqueue(InOrder([this, fn = std::move(fn)] { Run(fn); }, this));
  }
};

// An arena that others use too: the OpenMP thread count of its threads is 1 during our work alone, which the
// executor and ForEachTile see to.
class BorrowedArena : public ThreadPool {
 public:
  explicit BorrowedArena(tbb::task_arena& arena) : arena_(arena) {}
  int threads() const override { return std::max(1, arena_.max_concurrency()); }
  void Run(const std::function<void()>& fn) const override {
    arena_.execute(InOrder(
        [&fn] {
          const SingleThreaded single;
          fn();
        },
        &fn));
    ComesAfter(&fn);
  }
  void Enqueue(std::function<void()> fn) const override {
    arena_.enqueue(InOrder([this, fn = std::move(fn)] { Run(fn); }, this));
  }

 private:
  tbb::task_arena& arena_;
};

// Gives every thread that enters the arena an OpenMP thread count of 1, and its own back on leaving. Counts
// the arena's own threads that are inside, looking for work or doing it.
class ArenaObserver : public tbb::task_scheduler_observer {
 public:
  explicit ArenaObserver(tbb::task_arena& arena) : task_scheduler_observer(arena) {
    ComesBefore(this);
    observe(true);
  }
  ~ArenaObserver() override {
    observe(false);
    ComesAfter(this);
  }
  int workers() const { return workers_.load(std::memory_order_relaxed); }

  void on_scheduler_entry(bool is_worker) override {
    ComesAfter(this);
    if (is_worker) workers_.fetch_add(1, std::memory_order_relaxed);
    ComesBefore(this);
    Entries& entries = Own();
    const int former = EnterSingleThreaded();
    if (entries.depth < entries.former.size()) entries.former[entries.depth] = former;
    ++entries.depth;
  }
  void on_scheduler_exit(bool is_worker) override {
    if (is_worker) workers_.fetch_sub(1, std::memory_order_relaxed);
    ComesBefore(this);
    Entries& entries = Own();
    if (entries.depth == 0) return;
    if (--entries.depth < entries.former.size()) LeaveSingleThreaded(entries.former[entries.depth]);
  }

 private:
  // The counts that a thread had when it entered arenas within arenas; deeper ones find 1 already.
  struct Entries {
    std::array<int, 16> former;
    size_t depth = 0;
  };
  static Entries& Own() {
    static thread_local Entries entries;
    return entries;
  }

  std::atomic<int> workers_{0};
};

// Keeps threads awake for a moment after a run. A thread that TBB has sent to sleep takes tens of
// microseconds to wake, on a virtual machine whose processor was halted meanwhile milliseconds: as long as a
// whole run of a small network.
class Wakefulness {
  using Clock = std::chrono::steady_clock;

 public:
  // As long as the run took, so that at most half of a thread's time is spent so, and at most this.
  static constexpr std::chrono::microseconds kMost{1000};

  // While the result lives a run is to come: nobody waits awake for another one.
  std::shared_ptr<void> Expect() const {
    runs_->fetch_add(1);
    return {nullptr, [runs = runs_](void*) { runs->fetch_sub(1); }};
  }

  // Runs that are under way or to come.
  const std::atomic<int>& runs() const { return *runs_; }

  // While it lives a run is under way, on which threads are to work.
  class RunScope {
   public:
    explicit RunScope(const Wakefulness& of, tbb::task_arena& arena, const ArenaObserver& observer)
        : of_(of), arena_(arena), observer_(observer) {
      of_.runs_->fetch_add(1);
    }
    ~RunScope() {
      if (of_.runs_->fetch_sub(1) != 1) return;
      const auto until = Clock::now() + std::min<Clock::duration>(Clock::now() - begin_, kMost);
      // Only those that are awake.
      for (int i = observer_.workers(); i > 0; --i) {
        arena_.enqueue(InOrder(
            [runs = of_.runs_, until] {
              while (runs->load(std::memory_order_relaxed) == 0 && Clock::now() < until) Pause();
            },
            of_.runs_.get()));
      }
    }
    RunScope(const RunScope&) = delete;
    RunScope& operator=(const RunScope&) = delete;

   private:
    const Wakefulness& of_;
    tbb::task_arena& arena_;
    const ArenaObserver& observer_;
    Clock::time_point begin_ = Clock::now();
  };

 private:
  static void Pause() {
#if defined(__x86_64__)
    for (int i = 0; i < 16; ++i) __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
  }

  // Shared with the waiting threads, who may outlive the pool.
  std::shared_ptr<std::atomic<int>> runs_ = std::make_shared<std::atomic<int>>(0);
};

class Arena : public ThreadPool {
 public:
  explicit Arena(int threads) : threads_(Allowed(threads)), arena_(threads, 1), observer_(arena_) {}

  int threads() const override { return threads_; }
  void Run(const std::function<void()>& fn) const override {
    const Wakefulness::RunScope scope(wakefulness_, arena_, observer_);
    // Another thread may do it where the arena is full.
    arena_.execute(InOrder(
        [&] {
          const CrowdScope at_work(at_work_, wakefulness_.runs(), threads_, threads_fit_);
          fn();
        },
        &fn));
    ComesAfter(&fn);
  }
  void Enqueue(std::function<void()> fn) const override {
    arena_.enqueue(InOrder(
        // Until fn enters its run, which counts itself.
        [expected = std::make_shared<std::shared_ptr<void>>(wakefulness_.Expect()), fn = std::move(fn)] {
          expected->reset();
          fn();
        },
        this));
  }

 private:
  // TBB starts no more threads than processors unless told to. The smallest of all such limits in a
  // process counts, so this one is as large as any pool and an application's own still holds.
  static int Allowed(int threads) {
    if (threads > static_cast<int>(std::thread::hardware_concurrency())) {
      static tbb::global_control control(tbb::global_control::max_allowed_parallelism,
                                         static_cast<size_t>(kMaxThreads));
    }
    return threads;
  }

  int threads_;
  mutable tbb::task_arena arena_;
  ArenaObserver observer_;
  Wakefulness wakefulness_;
  mutable std::atomic<int> at_work_{0};
  const bool threads_fit_ = threads_ <= AvailableCpus();
};

}  // namespace

std::shared_ptr<ThreadPool> ThreadPool::Get(int threads) {
  static std::mutex mutex;
  static auto& pools = *new std::map<int, std::weak_ptr<ThreadPool>>();
  const std::lock_guard lock(mutex);
  std::shared_ptr<ThreadPool> pool = pools[threads].lock();
  if (!pool) {
    if (threads == 1)
      pool = std::make_shared<CallerThread>();
    else
      pool = std::make_shared<Arena>(threads);
    pools[threads] = pool;
  }
  return pool;
}

std::shared_ptr<ThreadPool> ThreadPool::In(void* tbb_arena) {
  return std::make_shared<BorrowedArena>(*static_cast<tbb::task_arena*>(tbb_arena));
}

void RunIsolated(const std::function<void()>& fn) { tbb::this_task_arena::isolate(fn); }

}  // namespace sluice
