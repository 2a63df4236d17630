#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "runtime/arena_pool.h"
#include "runtime/cache_budget.h"
#include "runtime/frame.h"
#include "runtime/planner.h"
#include "runtime/run_hooks.h"

namespace sluice {

// A graph with the plans made for it, one per combination of input types and sizes, the least recently used
// dropped beyond the budget. Nested graphs are executables of their own with the same budget. Thread-safe.
class Executable {
 public:
  // `graph` is resolved, verified and not changed any more.
  Executable(std::shared_ptr<const Graph> graph, std::shared_ptr<CacheBudget> budget, bool profile,
             ChooseKernel choose = PrepareKernel, RunHooks hooks = {});
  // With a budget of its own that limits the number of plans only.
  Executable(std::shared_ptr<const Graph> graph, int max_plans, bool profile,
             ChooseKernel choose = PrepareKernel);
  // For one combination of input types and sizes only: constants that kernels have packed are freed
  // while the plan is made.
  Executable(std::unique_ptr<Graph> graph, std::shared_ptr<CacheBudget> budget, bool profile,
             ChooseKernel choose = PrepareKernel, RunHooks hooks = {});
  ~Executable();

  const Graph& graph() const { return *graph_; }

  // One value for each graph input and output, in order. Computes on the threads of the calling
  // thread's arena. Results own their memory. `observer` and `profile` are as in RunOptions and may be empty.
  using Observer = std::function<void(const ObservedValue&)>;
  std::vector<Value> Run(std::span<const Value> inputs, const Observer& observer = {},
                         std::vector<StepProfile>* profile = nullptr) const;
  // The same into `outputs`, one for each graph output, as Frame::Begin has them. Allocates nothing of its
  // own once the plan is there and as many runs at once have been before. Throws OutputError too.
  void RunInto(std::span<const Value* const> inputs, std::span<Value* const> outputs,
               const Observer& observer = {}, std::vector<StepProfile>* profile = nullptr) const;
  // Makes the plan now; `use` sees it.
  void WithPlan(std::span<const InputType> inputs, const std::function<void(const Plan&)>& use) const;

  // Of the plan used last; empty unless profiling.
  std::vector<StepProfile> profile() const;
  std::vector<TraceEvent> trace() const;

 private:
  struct CompiledPlan;

  // Shows what a step of the frame's plan has computed.
  void Show(const Frame& frame, int step, const Observer& observer) const;
  std::shared_ptr<CompiledPlan> PlanFor(std::span<const InputType> inputs) const;
  std::shared_ptr<CompiledPlan> MakePlanFor(std::span<const InputType> inputs) const;
  template <typename Input>
  std::shared_ptr<CompiledPlan> FindPlan(std::span<const Input> inputs) const;
  void LogPlan(const Plan& plan, std::span<const InputType> inputs, int64_t took_ns) const;
  // Drops plans, but for the one used last, and then idle arenas as the budget asks.
  void Trim() const;
  std::shared_ptr<SubgraphRunner> Nested(const std::shared_ptr<Graph>& graph) const;

  std::shared_ptr<const Graph> graph_;
  Graph* own_graph_ = nullptr;  // the graph, if this may free its constants
  std::shared_ptr<CacheBudget> budget_;
  bool profile_;
  ChooseKernel choose_;
  RunHooks hooks_;
  PrepareContext::SubgraphMaker make_subgraph_;
  mutable ArenaPool arenas_;
  mutable std::mutex planning_mutex_;  // one plan at a time
  mutable std::mutex plans_mutex_;
  mutable std::list<std::shared_ptr<CompiledPlan>> plans_;  // the last used first
  mutable std::mutex nested_mutex_;
  mutable std::map<const Graph*, std::shared_ptr<SubgraphRunner>> nested_;
};

}  // namespace sluice
