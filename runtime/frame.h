#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "kernels/tile_shares.h"
#include "runtime/plan.h"
#include "runtime/run_hooks.h"

namespace sluice {

// Memory that a caller gave for an output does not fit the result.
struct OutputError {
  size_t output;  // of the graph
  std::string what;
};

// The state of one run of a plan: addresses, counters, values that the run makes. Used by one run at
// a time and again by the next, so that a run allocates nothing but its results.
class Frame {
 public:
  // For runs on `threads` threads.
  Frame(const Plan& plan, int threads, std::shared_ptr<Allocator> allocator = nullptr);

  // Points all slots at this run's memory and resets the counters. `arena` has plan.info.arena_bytes,
  // aligned to 64; it, the inputs and the outputs must live until FinishOutputs. One entry for each graph
  // input and output; outputs that are tensors are memory to write to; null for those that nobody wants.
  // Throws OutputError.
  void Begin(std::span<const Value* const> inputs, std::span<Value* const> outputs, std::byte* arena);
  // Puts the results into the outputs: where they are none already as values that own their memory. Forgets
  // everything else of the run. Throws OutputError.
  void FinishOutputs(std::span<Value* const> outputs);
  // After a run that threw.
  void Abandon();

  const Plan& plan() const { return plan_; }

  // Of a step with a kernel: addresses of its slots.
  std::span<const void* const> inputs(int step) const;
  std::span<void* const> outputs(int step) const;

  // Input `i` of a step as a value; tensors that are not dynamic are views. None for an absent one.
  Value Input(int step, int i) const;
  // Output `i` of a step that has run: a view, or a row-major copy of what lies in another layout; none for
  // one that nobody wants.
  Value Computed(int step, int i) const;
  // Stores an output: copied into place where the plan knew its size, kept otherwise.
  void Output(int step, int i, Value value);
  // The step is over: dynamic values that nobody will read again are dropped.
  void Release(int step);

  // Counters of the parallel executor.
  std::atomic<int>& waiting(int step) { return counters_[static_cast<size_t>(step)].waiting; }
  TileShares tiles(int step) {
    const size_t first = first_share_[static_cast<size_t>(step)];
    return TileShares({&shares_[first], first_share_[static_cast<size_t>(step) + 1] - first});
  }
  std::atomic<int64_t>& tiles_left(int step) { return counters_[static_cast<size_t>(step)].tiles_left; }

  // Room for one event a tile, in the order of steps and tiles; empty unless profiling was asked for.
  void EnableTrace();
  bool tracing() const { return !events_.empty(); }
  TraceEvent& event(int step, int64_t tile) {
    return events_[static_cast<size_t>(first_event_[static_cast<size_t>(step)] + tile)];
  }
  std::span<const TraceEvent> events() const { return events_; }

 private:
  struct Counters {
    std::atomic<int> waiting{0};
    std::atomic<int64_t> tiles_left{0};
  };

  const Slot& slot(int index) const { return plan_.slots[static_cast<size_t>(index)]; }
  // Whether the output is one of the plan's results, whole and from its beginning.
  bool IsResult(const Slot& from) const;
  void BindResults(std::span<Value* const> outputs);
  Value Result(const Plan::Output& output);

  const Plan& plan_;
  const std::shared_ptr<Allocator> allocator_;
  std::vector<Tensor> results_;           // empty where the caller's memory is used
  std::vector<void*> result_memory_;      // one for each of the plan's results
  std::vector<int> written_by_result_;    // for each result the output whose memory it is; -1: its own
  std::vector<void*> addresses_;          // by slot; null for dynamic ones
  std::vector<const void*> step_inputs_;  // all steps' inputs in a row
  std::vector<void*> step_outputs_;
  std::vector<size_t> first_input_, first_output_;
  std::vector<Value> dynamic_;
  std::unique_ptr<std::atomic<int>[]> dynamic_readers_;
  std::unique_ptr<Counters[]> counters_;
  std::unique_ptr<std::atomic<uint64_t>[]> shares_;  // all steps' in a row
  std::vector<size_t> first_share_;
  std::vector<int64_t> first_event_;
  std::vector<TraceEvent> events_;
};

}  // namespace sluice
