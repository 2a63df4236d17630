#include "runtime/session_impl.h"

#include <algorithm>

#include "graph/edit/edits.h"
#include "graph/infer.h"
#include "graph/passes/pass.h"
#include "graph/random_outputs.h"
#include "graph/verify.h"
#include "kernels/evaluate.h"
#include "runtime/compiled/facts.h"
#include "runtime/compiled/narrow_shapes.h"
#include "runtime/cpu_quota.h"
#include "runtime/input_check.h"
#include "runtime/run_limits.h"
#include "runtime/tuner.h"
#include "runtime/value_info.h"
#include "runtime/weight_room.h"

namespace sluice {

Session::Impl::Impl(const SessionOptions& options)
    : custom_(options.operators),
      pool_(PoolFor(options)),
      budget_(std::make_shared<CacheBudget>(options.max_plans, options.max_cached_bytes)),
      hooks_{options.allocator, options.log} {}

OperatorLookup Session::Impl::Lookup() const {
  return [this](std::string_view domain, std::string_view name, int64_t opset) {
    return custom_.Find(domain, name, opset);
  };
}

Session::Impl::Impl(const Import& import, const SessionOptions& options,
                    std::shared_ptr<ModelRecorder> recorder)
    : Impl(options) {
  recorder_ = std::move(recorder);
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Graph> graph = import(Lookup());
  SetInputShapes(*graph, options.input_shapes);
  for (ValueId id : graph->inputs) inputs_.push_back(InfoOf(graph->value(id)));
  // Passes may put other values in the place of outputs; the names stay.
  for (ValueId id : graph->outputs) outputs_.push_back(InfoOf(graph->value(id)));
  const std::vector<bool> random = RandomOutputs(*graph);
  pool_->Run([&] { Optimize(*graph, options); });
  for (size_t i = 0; i < outputs_.size(); ++i) {
    std::string name = std::move(outputs_[i].name);
    outputs_[i] = InfoOf(graph->value(graph->outputs[i]));
    outputs_[i].name = std::move(name);
    outputs_[i].is_random = random[i];
  }
  LogLoad("model", start);
  if (recorder_) recorder_->Begin(*graph);
  Start(std::move(graph), options,
        [this](ChooseKernel choose) { return recorder_ ? recorder_->Watch(std::move(choose)) : choose; });
}

Session::Impl::Impl(const OpenCompiled& open, const SessionOptions& options) : Impl(options) {
  const auto start = std::chrono::steady_clock::now();
  compiled_ = open(Lookup());
  const CompiledTables& tables = compiled_->tables();
  if (const std::string text = Differences(tables.facts, FactsOf(options)); !text.empty()) {
    throw Error(ErrorCode::kUnsupported,
                "the compiled model is for another machine or other options: " + text +
                    "; compile it again here, or ask for what it was compiled for");
  }
  std::unique_ptr<Graph> graph = compiled_->TakeGraph();
  NarrowInputShapes(*graph, options.input_shapes);
  for (ValueId id : graph->inputs) inputs_.push_back(InfoOf(graph->value(id)));
  for (size_t i = 0; i < graph->outputs.size(); ++i) {
    outputs_.push_back(InfoOf(graph->value(graph->outputs[i])));
    outputs_.back().name = tables.outputs[i].name;
    outputs_.back().is_random = tables.outputs[i].is_random;
  }
  pass_notes_ = tables.notes;
  LogLoad("compiled model", start);
  Start(std::move(graph), options,
        [this](ChooseKernel choose) { return compiled_->Chooser(std::move(choose)); });
  compiled_->CheckLeftOut(executable_->graph());
}

void Session::Impl::Start(std::unique_ptr<Graph> graph, const SessionOptions& options,
                          const std::function<ChooseKernel(ChooseKernel)>& wrap) {
  metadata_ = graph->metadata;
  const ChooseKernel choose = ChooserFor(*graph, options, wrap);
  executable_ = IsFixed()
                    ? std::make_unique<Executable>(std::move(graph), budget_, options.profile, choose, hooks_)
                    : std::make_unique<Executable>(std::shared_ptr<const Graph>(std::move(graph)), budget_,
                                                   options.profile, choose, hooks_);
  // Where all sizes are known the first run finds its plan made, and mistakes show at load.
  if (IsFixed()) Prepare({});
}

CompiledTables Session::Impl::DescribeForCompiling() const {
  CompiledTables tables;
  for (const ValueInfo& output : outputs_) tables.outputs.push_back({output.name, output.is_random});
  tables.notes = pass_notes_;
  return tables;
}

Session::Impl::~Impl() {
  std::unique_lock lock(async_mutex_);
  async_ended_.wait(lock, [this] { return async_runs_ == 0; });
}

NamedValues Session::Impl::Run(const NamedValues& inputs, std::span<const std::string> wanted,
                               const RunOptions& options) const {
  for (const std::string& name : wanted) IndexOf(outputs_, "output", name);
  NamedValues results;
  for (const ValueInfo& info : outputs_) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), info.name) != wanted.end())
      results[info.name];
  }
  RunInto(inputs, results, options);
  return results;
}

void Session::Impl::RunInto(const NamedValues& inputs, NamedValues& outputs,
                            const RunOptions& options) const {
  WithCall([&](Call& call) {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const auto given = inputs.find(inputs_[i].name);
      if (given == inputs.end() && !inputs_[i].is_optional)
        throw Error(ErrorCode::kInvalidArgument, "input '" + inputs_[i].name + "' is missing");
      call.inputs[i] = given == inputs.end() ? &call.copies[i] : &given->second;
    }
    for (const auto& [name, value] : inputs) IndexOf(inputs_, "input", name);
    for (auto& [name, value] : outputs) call.outputs[IndexOf(outputs_, "output", name)] = &value;
    Run(call, options);
  });
}

void Session::Impl::RunInto(std::span<const Value> inputs, std::span<Value> outputs,
                            const RunOptions& options) const {
  CheckCount(inputs_, "inputs", inputs.size());
  CheckCount(outputs_, "outputs", outputs.size());
  WithCall([&](Call& call) {
    for (size_t i = 0; i < inputs.size(); ++i) call.inputs[i] = &inputs[i];
    for (size_t o = 0; o < outputs.size(); ++o) call.outputs[o] = &outputs[o];
    Run(call, options);
  });
}

void Session::Impl::Async(std::function<void()> run) const {
  {
    const std::lock_guard lock(async_mutex_);
    ++async_runs_;
  }
  const auto end = [this] {
    // Under the lock: once it is gone, so may this be.
    const std::lock_guard lock(async_mutex_);
    if (--async_runs_ == 0) async_ended_.notify_all();
  };
  try {
    pool_->Enqueue([run = std::move(run), end]() mutable {
      run();
      run = nullptr;  // what it holds goes before the session may
      end();
    });
  } catch (...) {
    end();
    throw;
  }
}

PlanInfo Session::Impl::Prepare(const std::map<std::string, Shape>& shapes) const {
  for (const auto& [name, shape] : shapes) IndexOf(inputs_, "input", name);
  std::vector<InputType> types;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const ValueInfo& info = inputs_[i];
    InputType type{info.is_optional ? ValueType::Kind::kOptional : ValueType::Kind::kTensor,
                   {info.dtype, {}},
                   info.key_type};
    if (info.is_map) type.kind = ValueType::Kind::kMap;
    if (info.is_sequence) type.kind = ValueType::Kind::kSequence;
    if (type.kind == ValueType::Kind::kTensor) {
      const auto given = shapes.find(info.name);
      type.desc.shape = given != shapes.end() ? given->second : info.shape;
      CheckInput(info, Tensor::Borrow(info.dtype, type.desc.shape, nullptr));
      if (!info.has_shape && given == shapes.end()) {
        throw Error(ErrorCode::kInvalidArgument, "input '" + info.name + "' needs a shape");
      }
      for (int64_t size : type.desc.shape) {
        if (size >= 0) continue;
        throw Error(ErrorCode::kInvalidArgument, "input '" + info.name + "' needs a shape: " +
                                                     ToString(type.desc.shape) + " has open sizes");
      }
    }
    types.push_back(std::move(type));
  }
  PlanInfo result;
  pool_->Run([&] { executable_->WithPlan(types, [&](const Plan& plan) { result = plan.info; }); });
  return result;
}

std::shared_ptr<ThreadPool> Session::Impl::PoolFor(const SessionOptions& options) {
  if (options.threads < 0 || options.threads > ThreadPool::kMaxThreads) {
    throw Error(ErrorCode::kInvalidArgument, "threads is " + std::to_string(options.threads) +
                                                 ", expected 0 to " +
                                                 std::to_string(ThreadPool::kMaxThreads));
  }
  if (options.tbb_arena != nullptr) return ThreadPool::In(options.tbb_arena);
  return ThreadPool::Get(options.threads == 0 ? AvailableCpus() : options.threads);
}

ChooseKernel Session::Impl::ChooserFor(const Graph& graph, const SessionOptions& options,
                                       const std::function<ChooseKernel(ChooseKernel)>& wrap) const {
  ChooseKernel choose = PrepareKernel;
  if (!options.tuning_file.empty()) {
    choose = [tuner = Tuner::ForFile(options.tuning_file), threads = pool_->threads()](
                 const Node& node, const std::function<PrepareContext()>& make_context) {
      return tuner->Prepare(node, threads, make_context);
    };
  }
  choose = wrap(std::move(choose));
  const int64_t most_grown = MostGrownBytes(graph, options.accuracy, options.max_weight_bytes);
  if (options.accuracy == Accuracy::kDefault && most_grown == INT64_MAX) return choose;
  return [choose, accuracy = options.accuracy, most_grown](
             const Node& node, const std::function<PrepareContext()>& make_context) {
    return choose(node, [&] {
      PrepareContext context = make_context();
      context.set_accuracy(accuracy);
      context.set_most_grown_bytes(most_grown);
      return context;
    });
  };
}

bool Session::Impl::IsFixed() const {
  return std::all_of(inputs_.begin(), inputs_.end(), [](const ValueInfo& info) {
    return !info.is_sequence && !info.is_map && info.has_shape && info.dtype != DataType::kUndefined &&
           std::all_of(info.shape.begin(), info.shape.end(), [](int64_t size) { return size >= 0; });
  });
}

void Session::Impl::CheckCount(const std::vector<ValueInfo>& known, const std::string& what, size_t count) {
  if (count == known.size()) return;
  throw Error(ErrorCode::kInvalidArgument,
              std::to_string(count) + " " + what + " given, the model has " + std::to_string(known.size()));
}

template <typename Fn>
void Session::Impl::WithCall(Fn fn) const {
  std::unique_ptr<Call> call;
  {
    const std::lock_guard lock(calls_mutex_);
    if (!calls_.empty()) {
      call = std::move(calls_.back());
      calls_.pop_back();
    }
  }
  if (!call) {
    call = std::make_unique<Call>();
    call->inputs.resize(inputs_.size());
    call->copies.resize(inputs_.size());
  }
  call->outputs.assign(outputs_.size(), nullptr);
  struct Return {
    const Impl& impl;
    std::unique_ptr<Call>& call;
    ~Return() {
      for (Value& copy : call->copies) {
        if (!copy.is_none()) copy = {};
      }
      const std::lock_guard lock(impl.calls_mutex_);
      impl.calls_.push_back(std::move(call));
    }
  } give_back{*this, call};
  fn(*call);
}

void Session::Impl::Run(Call& call, const RunOptions& options) const {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!inputs_[i].is_optional) CheckInput(inputs_[i], *call.inputs[i]);
    if (!call.inputs[i]->is_tensor() || IsAligned(call.inputs[i]->tensor())) continue;
    call.copies[i] = call.inputs[i]->tensor().Clone();
    call.inputs[i] = &call.copies[i];
  }
  CheckNoOverlap(call.inputs, call.outputs, inputs_, outputs_);
  const RunLimits limits(options);
  struct {
    const Impl& impl;
    Call& call;
    const RunOptions& options;
    const RunLimits* limits;
  } run{*this, call, options, options.deadline || options.cancel != nullptr ? &limits : nullptr};
  try {
    // One reference, which std::function holds without memory of its own.
    pool_->Run([&run] {
      const RunLimits::Scope scope(run.limits);
      run.impl.executable_->RunInto(run.call.inputs, run.call.outputs, run.options.observer,
                                    run.options.profile);
    });
  } catch (const OutputError& error) {
    throw Error(ErrorCode::kInvalidArgument, "output '" + outputs_[error.output].name + "': " + error.what);
  }
}

void Session::Impl::LogLoad(std::string_view what, std::chrono::steady_clock::time_point start) const {
  if (!hooks_.log) return;
  const auto took =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  for (const PassNote& note : pass_notes_) {
    hooks_.log(LogLevel::kVerbose, "pass " + note.pass + " at '" + note.place + "': " + note.text);
  }
  hooks_.log(LogLevel::kInfo, "loaded a " + std::string(what) + " of " + std::to_string(inputs_.size()) +
                                  " inputs and " + std::to_string(outputs_.size()) + " outputs in " +
                                  std::to_string(took.count()) + " us, for " +
                                  std::to_string(pool_->threads()) + " threads");
}

void Session::Impl::Optimize(Graph& graph, const SessionOptions& options) {
  Verify(graph);
  InferShapes(graph);
  if (options.passes) {
    PassContext ctx;
    ctx.evaluate = EvaluateOrNone;
    RunPasses(graph, options.disabled_passes, ctx);
    for (PassContext::Note& note : ctx.notes) {
      pass_notes_.push_back(
          {std::move(note.pass), std::move(note.place), std::move(note.text), note.applied});
    }
  }
  graph.Compact();
}

}  // namespace sluice
