#include "runtime/executor.h"

#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "graph/place.h"
#include "kernels/evaluate.h"
#include "kernels/onednn/threading.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "kernels/task_order.h"
#include "runtime/run_limits.h"
#include "runtime/thread_pool.h"

namespace sluice {
namespace {

// Lets a kernel reach values beyond plain tensors.
class StepValues : public RunContext::Dynamic {
 public:
  StepValues(Frame& frame, int step) : frame_(frame), step_(step) {}
  Value GetInput(int i) const override { return frame_.Input(step_, i); }
  void SetOutput(int i, Value value) override { frame_.Output(step_, i, std::move(value)); }

 private:
  Frame& frame_;
  int step_;
};

// Longer than most steps that do not split.
constexpr std::chrono::microseconds kHelpFor{200};

void Pause() {
#if defined(__x86_64__)
  for (int i = 0; i < 8; ++i) __builtin_ia32_pause();
#endif
}

// Work of a run that threads find in TBB alone: branches that none has begun, and what a tile splits itself.
using ElsewhereCount = std::atomic<int64_t>;

class Elsewhere {
 public:
  explicit Elsewhere(ElsewhereCount& count) : count_(count) {
    count_.fetch_add(1, std::memory_order_relaxed);
  }
  ~Elsewhere() { count_.fetch_sub(1, std::memory_order_relaxed); }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

 private:
  ElsewhereCount& count_;
};

// That of the run in a tile of which the calling thread is; null outside.
thread_local ElsewhereCount* in_a_tile = nullptr;

class InATile {
 public:
  explicit InATile(ElsewhereCount& of) : former_(in_a_tile) { in_a_tile = &of; }
  ~InATile() { in_a_tile = former_; }
  InATile(const InATile&) = delete;
  InATile& operator=(const InATile&) = delete;

 private:
  ElsewhereCount* former_;
};

class Execution {
 public:
  Execution(Frame& frame, const PrepareContext::SubgraphMaker& make_subgraph, const StepObserver& observe)
      : frame_(frame), plan_(frame.plan()), make_subgraph_(make_subgraph), observe_(observe) {}

  void RunSerially() {
    for (size_t i = 0; i < plan_.steps.size(); ++i) {
      const int step = static_cast<int>(i);
      RunAlone(step);
      Observe(step);
      frame_.Release(step);
    }
  }

  void RunInParallel() {
    threads_ = tbb::this_task_arena::max_concurrency();
    steps_left_.store(static_cast<int64_t>(plan_.steps.size()), std::memory_order_relaxed);
    tbb::task_group_context context(tbb::task_group_context::isolated);
    tbb::task_group group(context);
    group_ = &group;
    for (size_t i = 1; i < plan_.roots.size(); ++i) {
      SpawnBranch(plan_.roots[i]);
    }
    if (!plan_.roots.empty()) {
      group.run_and_wait(InOrder(
          [this] {
            RunFrom(plan_.roots[0]);
            Help();
          },
          this));
    }
    ComesAfter(this);
  }

 private:
  template <typename Fn>
  void Spawn(Fn fn) {
    group_->run(InOrder(fn, this));
  }

  void SpawnBranch(int step) {
    elsewhere_.fetch_add(1, std::memory_order_relaxed);
    Spawn([this, step] {
      elsewhere_.fetch_sub(1, std::memory_order_relaxed);
      RunFrom(step);
      Help();
    });
  }

  // All tiles of a step on this thread.
  void RunAlone(int step) {
    const Step& of = plan_.steps[static_cast<size_t>(step)];
    const int64_t together = of.kernel && !frame_.tracing() ? of.kernel->together() : 1;
    for (int64_t tile = 0; tile < of.tiles; tile += together)
      RunTiles(step, tile, std::min(together, of.tiles - tile));
  }

  // Runs a step and then, on this thread, one of those that it made ready, and so on. No thread ever
  // waits here: whoever finishes the last tile of a step goes on with its successors.
  void RunFrom(int step) {
    while (step >= 0) {
      if (crowd_.now()) {
        RunAlone(step);
        step = Finish(step);
        continue;
      }
      const int64_t tiles = plan_.steps[static_cast<size_t>(step)].tiles;
      const int64_t helpers = std::min<int64_t>(tiles, threads_) - 1;
      if (helpers > 0) offer_.store(++offers_ << 32 | static_cast<uint64_t>(step), std::memory_order_release);
      for (int64_t i = waiting_.load(std::memory_order_relaxed); i < helpers; ++i) {
        Spawn([this, step] {
          if (TakeTiles(step)) RunFrom(Finish(step));
          Help();
        });
      }
      if (tiles > 0 && !TakeTiles(step)) return;
      step = Finish(step);
    }
  }

  // Takes tiles of the steps that other threads begin, until none has begun for a moment: those who go back
  // to TBB soon yield their processor, which on a machine with other work takes milliseconds.
  void Help() {
    uint64_t seen = 0;
    auto idle_since = std::chrono::steady_clock::now();
    waiting_.fetch_add(1, std::memory_order_relaxed);
    for (int spins = 1;; ++spins) {
      if (const uint64_t offer = offer_.load(std::memory_order_acquire); offer != seen) {
        seen = offer;
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        const int step = static_cast<int>(offer & 0xffffffff);
        if (TakeTiles(step)) RunFrom(Finish(step));
        waiting_.fetch_add(1, std::memory_order_relaxed);
        idle_since = std::chrono::steady_clock::now();
        continue;
      }
      if (steps_left_.load(std::memory_order_relaxed) == 0 || failed_.load(std::memory_order_relaxed) ||
          elsewhere_.load(std::memory_order_relaxed) > 0 || !crowd_.may_wait()) {
        break;
      }
      if (spins % 16 == 0 && std::chrono::steady_clock::now() - idle_since > kHelpFor) break;
      Pause();
    }
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }

  // Runs tiles until none is left to start; true if the last one to end ended here.
  bool TakeTiles(int step) {
    TileShares tiles = frame_.tiles(step);
    const int thread = tbb::this_task_arena::current_thread_index();
    bool last = false;
    for (;;) {
      const int64_t tile = tiles.Take(thread, threads_);
      if (tile < 0) return last;
      RunTiles(step, tile, 1);
      last = frame_.tiles_left(step).fetch_sub(1, std::memory_order_acq_rel) == 1;
    }
  }

  // Starts the steps that waited for this one alone, all but the one that is returned; -1 for none.
  int Finish(int step) {
    steps_left_.fetch_sub(1, std::memory_order_relaxed);
    Observe(step);
    frame_.Release(step);
    int next = -1;
    for (int successor : plan_.steps[static_cast<size_t>(step)].successors) {
      if (frame_.waiting(successor).fetch_sub(1, std::memory_order_acq_rel) != 1) continue;
      if (next >= 0) SpawnBranch(next);
      next = successor;
    }
    return next;
  }

  void Observe(int step) {
    if (!observe_) return;
    const std::lock_guard lock(observe_mutex_);
    observe_(step);
  }

  // Tiles that the kernel runs together; one where a trace is kept.
  void RunTiles(int index, int64_t tile, int64_t count) {
    const RunLimits::Scope scope(limits_);
    const InATile mark(elsewhere_);
    const SingleThreaded single;  // not so already in an arena of the program's own
    try {
      if (limits_ != nullptr) limits_->Check();
      if (frame_.tracing())
        ComputeTraced(index, tile);
      else
        Compute(index, tile, count);
    } catch (...) {
      failed_.store(true, std::memory_order_relaxed);
      throw;
    }
  }

  void ComputeTraced(int index, int64_t tile) {
    TraceEvent& event = frame_.event(index, tile);
    event.step = index;
    event.thread = SerialScope::active() ? 0 : tbb::this_task_arena::current_thread_index();
    event.begin_ns = Now();
    Compute(index, tile, 1);
    event.end_ns = Now();
  }

  void Compute(int index, int64_t tile, int64_t count) {
    const Step& step = plan_.steps[static_cast<size_t>(index)];
    StepValues values(frame_, index);
    if (step.kernel) {
      const Scratch scratch(step.scratch_bytes);
      try {
        const RunContext ctx(frame_.inputs(index), frame_.outputs(index), scratch.data(), &values);
        if (count == 1)
          step.kernel->Run(ctx, tile);
        else
          step.kernel->RunTogether(ctx, tile, count);
      } catch (const Error& error) {
        if (step.node == nullptr) throw;
        RethrowAt(Describe(*step.node), error);
      }
      return;
    }
    const Elsewhere splits(elsewhere_);
    std::vector<Value> inputs;
    for (size_t i = 0; i < step.inputs.size(); ++i)
      inputs.push_back(frame_.Input(index, static_cast<int>(i)));
    std::vector<Value> outputs = Evaluate(*step.node, inputs, make_subgraph_);
    for (size_t i = 0; i < outputs.size(); ++i)
      frame_.Output(index, static_cast<int>(i), std::move(outputs[i]));
  }

  int64_t Now() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_)
        .count();
  }

  Frame& frame_;
  const Plan& plan_;
  const PrepareContext::SubgraphMaker& make_subgraph_;
  const StepObserver& observe_;
  std::mutex observe_mutex_;
  const RunLimits* const limits_ = RunLimits::Current();
  const Crowd crowd_ = Crowd::Here();
  std::atomic<uint64_t> offers_{0};  // so many steps were offered
  std::atomic<uint64_t> offer_{0};   // the last of them: its number above its step
  std::atomic<int64_t> waiting_{0};  // threads that look at it
  ElsewhereCount elsewhere_{0};
  std::atomic<int64_t> steps_left_{0};
  std::atomic<bool> failed_{false};
  tbb::task_group* group_ = nullptr;
  int threads_ = 1;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

void Execute(Frame& frame, const PrepareContext::SubgraphMaker& make_subgraph, const StepObserver& observe) {
  Execution execution(frame, make_subgraph, observe);
  if (SerialScope::active()) {
    execution.RunSerially();
  } else if (in_a_tile != nullptr) {
    const Elsewhere nested(*in_a_tile);
    // A thread that waits for a nested graph takes up steps of that graph alone: others may nest graphs too
    // and its stack would grow with every one.
    tbb::this_task_arena::isolate([&] { execution.RunInParallel(); });
  } else {
    execution.RunInParallel();
  }
}

}  // namespace sluice
