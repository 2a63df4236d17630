#include "runtime/executor.h"

#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <algorithm>
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

// Whether the calling thread is inside of a tile, and so of a run.
thread_local bool in_a_tile = false;

class InATile {
 public:
  InATile() : former_(in_a_tile) { in_a_tile = true; }
  ~InATile() { in_a_tile = former_; }
  InATile(const InATile&) = delete;
  InATile& operator=(const InATile&) = delete;

 private:
  bool former_;
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
    tbb::task_group_context context(tbb::task_group_context::isolated);
    tbb::task_group group(context);
    group_ = &group;
    for (size_t i = 1; i < plan_.roots.size(); ++i) {
      Spawn([this, step = plan_.roots[i]] { RunFrom(step); });
    }
    if (!plan_.roots.empty()) group.run_and_wait(InOrder([this] { RunFrom(plan_.roots[0]); }, this));
    ComesAfter(this);
  }

 private:
  template <typename Fn>
  void Spawn(Fn fn) {
    group_->run(InOrder(fn, this));
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
      for (int64_t i = 0; i < helpers; ++i) {
        Spawn([this, step] {
          if (TakeTiles(step)) RunFrom(Finish(step));
        });
      }
      if (tiles > 0 && !TakeTiles(step)) return;
      step = Finish(step);
    }
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
    Observe(step);
    frame_.Release(step);
    int next = -1;
    for (int successor : plan_.steps[static_cast<size_t>(step)].successors) {
      if (frame_.waiting(successor).fetch_sub(1, std::memory_order_acq_rel) != 1) continue;
      if (next >= 0) Spawn([this, next] { RunFrom(next); });
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
    const InATile mark;
    const SingleThreaded single;  // not so already in an arena of the program's own
    if (limits_ != nullptr) limits_->Check();
    if (!frame_.tracing()) {
      Compute(index, tile, count);
      return;
    }
    TraceEvent& event = frame_.event(index, tile);
    event.step = index;
    event.thread = SerialScope::active() ? 0 : tbb::this_task_arena::current_thread_index();
    event.begin_ns = Now();
    Compute(index, tile, count);
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
  tbb::task_group* group_ = nullptr;
  int threads_ = 1;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

void Execute(Frame& frame, const PrepareContext::SubgraphMaker& make_subgraph, const StepObserver& observe) {
  Execution execution(frame, make_subgraph, observe);
  if (SerialScope::active()) {
    execution.RunSerially();
  } else if (in_a_tile) {
    // A thread that waits for a nested graph takes up steps of that graph alone: others may nest graphs too
    // and its stack would grow with every one.
    tbb::this_task_arena::isolate([&] { execution.RunInParallel(); });
  } else {
    execution.RunInParallel();
  }
}

}  // namespace sluice
