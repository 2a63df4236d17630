#include "runtime/thread_pool.h"

#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_scheduler_observer.h>

#include <map>
#include <mutex>
#include <thread>

#include "kernels/onednn/threading.h"
#include "kernels/parallel.h"
#include "kernels/task_order.h"

namespace sluice {
namespace {

class CallerThread : public ThreadPool {
 public:
  int threads() const override { return 1; }
  void Run(const std::function<void()>& fn) const override {
    const SerialScope serial;
    const SingleThreaded single;
    fn();
  }
};

// Gives every thread that enters the arena an OpenMP thread count of 1, and its own back on leaving.
class OpenMpObserver : public tbb::task_scheduler_observer {
 public:
  explicit OpenMpObserver(tbb::task_arena& arena) : task_scheduler_observer(arena) { observe(true); }
  ~OpenMpObserver() override { observe(false); }
  void on_scheduler_entry(bool) override { Stack().push_back(EnterSingleThreaded()); }
  void on_scheduler_exit(bool) override {
    if (Stack().empty()) return;
    LeaveSingleThreaded(Stack().back());
    Stack().pop_back();
  }

 private:
  static std::vector<int>& Stack() {
    static thread_local std::vector<int> stack;
    return stack;
  }
};

class Arena : public ThreadPool {
 public:
  explicit Arena(int threads)
      : threads_(Allowed(threads)), arena_(threads, 1), observer_(arena_) {}

  int threads() const override { return threads_; }
  void Run(const std::function<void()>& fn) const override {
    // Another thread may do it where the arena is full.
    arena_.execute(InOrder([&fn] { fn(); }, &fn));
    ComesAfter(&fn);
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
  OpenMpObserver observer_;
};

}  // namespace

std::shared_ptr<ThreadPool> ThreadPool::Get(int threads) {
  static std::mutex mutex;
  static auto& pools = *new std::map<int, std::weak_ptr<ThreadPool>>();
  const std::lock_guard lock(mutex);
  std::shared_ptr<ThreadPool> pool = pools[threads].lock();
  if (!pool) {
    if (threads == 1) pool = std::make_shared<CallerThread>();
    else pool = std::make_shared<Arena>(threads);
    pools[threads] = pool;
  }
  return pool;
}

void RunIsolated(const std::function<void()>& fn) { tbb::this_task_arena::isolate(fn); }

}  // namespace sluice
