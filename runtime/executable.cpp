#include "runtime/executable.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "kernels/parallel.h"
#include "runtime/executor.h"
#include "runtime/run_limits.h"
#include "runtime/step_profile.h"
#include "runtime/thread_pool.h"
#include "sluice/error.h"

namespace sluice {
namespace {

InputType TypeOf(const Value& value) {
  if (value.is_tensor()) return {ValueType::Kind::kTensor, {value.tensor().dtype(), value.tensor().shape()}};
  if (value.is_map()) return {ValueType::Kind::kMap, {value.element_type(), {}}, value.keys().dtype()};
  if (value.is_sequence()) {
    const bool maps = !value.items().empty() && value.items()[0].is_map();
    return {ValueType::Kind::kSequence,
            {value.element_type(), {}},
            maps ? value.items()[0].keys().dtype() : DataType::kUndefined};
  }
  return {ValueType::Kind::kOptional, {}};
}

// Whether a plan for `type` is one for `value`; as type == TypeOf(value), without a copy.
bool Fits(const InputType& type, const Value* value) {
  if (value->is_tensor()) {
    return type.kind == ValueType::Kind::kTensor && type.desc.dtype == value->tensor().dtype() &&
           type.desc.shape == value->tensor().shape() && type.desc.layout == Layout::kPlain;
  }
  return type == TypeOf(*value);
}
bool Fits(const InputType& type, const InputType& other) { return type == other; }

class NestedGraph : public SubgraphRunner {
 public:
  NestedGraph(std::shared_ptr<const Graph> graph, std::shared_ptr<CacheBudget> budget,
              const ChooseKernel& choose, const RunHooks& hooks)
      : executable_(std::move(graph), std::move(budget), false, choose, hooks) {}
  std::vector<Value> Run(std::vector<Value> inputs) const override { return executable_.Run(inputs); }

 private:
  Executable executable_;
};

}  // namespace

struct Executable::CompiledPlan {
  std::vector<InputType> inputs;
  Plan plan;
  StepProfiler profiler;
  std::mutex mutex;
  std::vector<std::unique_ptr<Frame>> idle_frames;

  std::unique_ptr<Frame> TakeFrame() {
    const std::lock_guard lock(mutex);
    if (idle_frames.empty()) return nullptr;
    std::unique_ptr<Frame> frame = std::move(idle_frames.back());
    idle_frames.pop_back();
    return frame;
  }
  void GiveFrame(std::unique_ptr<Frame> frame) {
    const std::lock_guard lock(mutex);
    idle_frames.push_back(std::move(frame));
  }
};

Executable::Executable(std::shared_ptr<const Graph> graph, std::shared_ptr<CacheBudget> budget, bool profile,
                       ChooseKernel choose, RunHooks hooks)
    : graph_(std::move(graph)),
      budget_(std::move(budget)),
      profile_(profile),
      choose_(std::move(choose)),
      hooks_(std::move(hooks)),
      make_subgraph_([this](const std::shared_ptr<Graph>& nested) { return Nested(nested); }),
      arenas_(*budget_, hooks_.allocator) {}

Executable::Executable(std::shared_ptr<const Graph> graph, int max_plans, bool profile, ChooseKernel choose)
    : Executable(std::move(graph),
                 std::make_shared<CacheBudget>(max_plans, std::numeric_limits<int64_t>::max()), profile,
                 std::move(choose)) {}

Executable::Executable(std::unique_ptr<Graph> graph, std::shared_ptr<CacheBudget> budget, bool profile,
                       ChooseKernel choose, RunHooks hooks)
    : Executable(std::shared_ptr<const Graph>(), std::move(budget), profile, std::move(choose),
                 std::move(hooks)) {
  own_graph_ = graph.get();
  graph_ = std::move(graph);
}

Executable::~Executable() {
  for (const std::shared_ptr<CompiledPlan>& plan : plans_) budget_->Remove(plan->plan);
}

void Executable::Trim() const {
  std::vector<std::shared_ptr<CompiledPlan>> dropped;  // destroyed after the lock is gone
  {
    const std::lock_guard lock(plans_mutex_);
    while (plans_.size() > 1 && (plans_.size() > budget_->max_plans() || budget_->over())) {
      budget_->Remove(plans_.back()->plan);
      dropped.push_back(std::move(plans_.back()));
      plans_.pop_back();
    }
  }
  if (hooks_.log && !dropped.empty())
    hooks_.log(LogLevel::kInfo,
               "dropped " + std::to_string(dropped.size()) + " plans to stay within the cache's limits");
  arenas_.Shrink();
}

std::shared_ptr<SubgraphRunner> Executable::Nested(const std::shared_ptr<Graph>& graph) const {
  const std::lock_guard lock(nested_mutex_);
  std::shared_ptr<SubgraphRunner>& runner = nested_[graph.get()];
  if (!runner) runner = std::make_shared<NestedGraph>(graph, budget_, choose_, hooks_);
  return runner;
}

template <typename Input>
std::shared_ptr<Executable::CompiledPlan> Executable::FindPlan(std::span<const Input> inputs) const {
  const auto fits = [](const InputType& type, const Input& input) { return Fits(type, input); };
  const std::lock_guard lock(plans_mutex_);
  for (auto it = plans_.begin(); it != plans_.end(); ++it) {
    const std::vector<InputType>& made_for = (*it)->inputs;
    if (!std::equal(made_for.begin(), made_for.end(), inputs.begin(), inputs.end(), fits)) continue;
    plans_.splice(plans_.begin(), plans_, it);
    return plans_.front();
  }
  return nullptr;
}

std::shared_ptr<Executable::CompiledPlan> Executable::PlanFor(std::span<const InputType> inputs) const {
  if (auto plan = FindPlan(inputs)) return plan;
  // A thread that waits for tasks may take up another run, which would ask for the lock again: so planning
  // waits for its own tasks alone.
  std::shared_ptr<CompiledPlan> result;
  RunIsolated([&] { result = MakePlanFor(inputs); });
  return result;
}

std::shared_ptr<Executable::CompiledPlan> Executable::MakePlanFor(std::span<const InputType> inputs) const {
  const std::lock_guard planning(planning_mutex_);
  if (auto plan = FindPlan(inputs)) return plan;
  auto compiled = std::make_shared<CompiledPlan>();
  compiled->inputs.assign(inputs.begin(), inputs.end());
  ReleaseConstant release;
  if (own_graph_ != nullptr) {
    release = [this](ValueId id) {
      Tensor& constant = own_graph_->value(id).constant;
      constant = Tensor::Borrow(constant.dtype(), constant.shape(), nullptr);
    };
  }
  const auto start = std::chrono::steady_clock::now();
  compiled->plan = MakePlan(*graph_, inputs, make_subgraph_, release, choose_);
  if (hooks_.log) LogPlan(compiled->plan, inputs, (std::chrono::steady_clock::now() - start).count());
  {
    const std::lock_guard lock(plans_mutex_);
    plans_.push_front(compiled);
    budget_->Add(compiled->plan);
  }
  Trim();
  return compiled;
}

void Executable::LogPlan(const Plan& plan, std::span<const InputType> inputs, int64_t took_ns) const {
  std::string text = "plan for";
  for (size_t i = 0; i < inputs.size(); ++i) {
    text += (i ? ", '" : " '") + graph_->value(graph_->inputs[i]).name + "' " +
            std::string(DataTypeName(inputs[i].desc.dtype)) + " " + ToString(inputs[i].desc.shape);
  }
  text += ": " + std::to_string(plan.info.steps) + " steps, " + std::to_string(plan.info.arena_bytes) +
          " bytes of memory a run, " + std::to_string(plan.info.packed_bytes) +
          " bytes of packed weights, made in " + std::to_string(took_ns / 1000) + " us";
  hooks_.log(LogLevel::kInfo, text);
  for (const Step& step : plan.steps) {
    const StepProfile description = DescribeStep(*graph_, plan, step);
    std::string line = "step '" + description.node + "' " + description.op + ": " + description.kernel;
    for (const std::string& declined : description.declined) line += "; declined: " + declined;
    hooks_.log(LogLevel::kVerbose, line);
  }
}

void Executable::WithPlan(std::span<const InputType> inputs,
                          const std::function<void(const Plan&)>& use) const {
  use(PlanFor(inputs)->plan);
}

void Executable::Show(const Frame& frame, int index, const Observer& observer) const {
  const Step& step = frame.plan().steps[static_cast<size_t>(index)];
  if (step.node == nullptr) return;  // a reorder, of a value shown before
  const StepProfile description = DescribeStep(*graph_, frame.plan(), step);
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    const Value value = frame.Computed(index, static_cast<int>(i));
    if (value.is_none()) continue;
    observer({graph_->value(step.node->outputs[i]).name, description.node, description.op, index, &value});
  }
}

std::vector<Value> Executable::Run(std::span<const Value> inputs, const Observer& observer,
                                   std::vector<StepProfile>* profile) const {
  std::vector<const Value*> given;
  for (const Value& input : inputs) given.push_back(&input);
  std::vector<Value> results(graph_->outputs.size());
  std::vector<Value*> outputs;
  for (Value& result : results) outputs.push_back(&result);
  RunInto(given, outputs, observer, profile);
  return results;
}

void Executable::RunInto(std::span<const Value* const> inputs, std::span<Value* const> outputs,
                         const Observer& observer, std::vector<StepProfile>* profile) const {
  // A loop's body may have no steps that would look.
  if (const RunLimits* limits = RunLimits::Current()) limits->Check();
  std::shared_ptr<CompiledPlan> compiled = FindPlan(inputs);
  if (!compiled) {
    std::vector<InputType> types;
    for (const Value* input : inputs) types.push_back(TypeOf(*input));
    compiled = PlanFor(types);
  }

  // A frame that traces for one run alone is not for the next ones.
  const bool keep_frame = profile_ || profile == nullptr;
  std::unique_ptr<Frame> frame = keep_frame ? compiled->TakeFrame() : nullptr;
  if (!frame) {
    frame = std::make_unique<Frame>(compiled->plan, ThreadCount(), hooks_.allocator);
    if (profile_ || profile != nullptr) frame->EnableTrace();
  }
  Tensor arena = arenas_.Take(compiled->plan.info.arena_bytes);
  // A run that throws leaves its frame and arena to the next one too.
  struct Return {
    const Executable& executable;
    CompiledPlan& compiled;
    std::unique_ptr<Frame>& frame;
    Tensor& arena;
    bool keep_frame;
    ~Return() {
      frame->Abandon();
      if (keep_frame) compiled.GiveFrame(std::move(frame));
      executable.arenas_.Give(std::move(arena));
      if (executable.budget_->over()) executable.Trim();
    }
  } give_back{*this, *compiled, frame, arena, keep_frame};
  frame->Begin(inputs, outputs, static_cast<std::byte*>(arena.mutable_data()));
  StepObserver observe;
  if (observer) observe = [&](int step) { Show(*frame, step, observer); };
  Execute(*frame, make_subgraph_, observe);
  if (profile_) compiled->profiler.Add(*frame);
  if (profile != nullptr) {
    StepProfiler profiler;
    profiler.Add(*frame);
    *profile = profiler.Profile(*graph_, compiled->plan);
  }
  frame->FinishOutputs(outputs);
}

std::vector<StepProfile> Executable::profile() const {
  const std::lock_guard lock(plans_mutex_);
  if (plans_.empty() || !profile_) return {};
  return plans_.front()->profiler.Profile(*graph_, plans_.front()->plan);
}

std::vector<TraceEvent> Executable::trace() const {
  const std::lock_guard lock(plans_mutex_);
  if (plans_.empty() || !profile_) return {};
  return plans_.front()->profiler.trace();
}

}  // namespace sluice
