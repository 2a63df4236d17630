#pragma once

#include <atomic>
#include <functional>
#include <memory>

namespace sluice {

// Threads that sessions compute on. oneDNN stays single-threaded on them (kernels/onednn/threading.h).
class ThreadPool {
 public:
  // TBB's own limit on small machines.
  static constexpr int kMaxThreads = 256;

  // The pool of `threads` threads, callers included; sessions that ask for the same number share it.
  // 1 <= threads <= kMaxThreads.
  static std::shared_ptr<ThreadPool> Get(int threads);
  // Runs in a tbb::task_arena of the program, which must outlive the result.
  static std::shared_ptr<ThreadPool> In(void* tbb_arena);
  virtual ~ThreadPool() = default;

  virtual int threads() const = 0;
  // Calls fn, whose tiles and tasks spread over the pool. With one thread all stays on the caller's.
  // Any number of callers at once; what fn throws comes out here.
  virtual void Run(const std::function<void()>& fn) const = 0;
  // Calls fn, which must not throw, soon on another thread, as Run does.
  virtual void Enqueue(std::function<void()> fn) const = 0;
};

// How busy the pool is on which a run is: found inside of ThreadPool::Run, asked from any thread while that lasts.
class Crowd {
 public:
  static Crowd Here();
  // Whether as many runs as the pool has threads are at work, so that none gains from the others' threads.
  bool now() const { return at_work_ != nullptr && at_work_->load(std::memory_order_relaxed) >= threads_; }
  // Whether a thread that has nothing to do may wait awake for what its run does next: each has a processor of its
  // own, and no other run waits for a thread.
  bool may_wait() const {
    return at_work_ != nullptr && threads_fit_ &&
           entered_->load(std::memory_order_relaxed) <= at_work_->load(std::memory_order_relaxed);
  }

 private:
  friend class CrowdScope;
  const std::atomic<int>* at_work_ = nullptr;
  const std::atomic<int>* entered_ = nullptr;  // those at work and those that wait for a thread
  int threads_ = 0;
  bool threads_fit_ = false;
};

// Calls fn on this thread. While it waits for tiles inside, it takes up none of the work outside: fn may hold a lock that
// such work asks for.
void RunIsolated(const std::function<void()>& fn);

}  // namespace sluice
