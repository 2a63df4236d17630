#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "graph/import.h"
#include "runtime/compiled/compiled_model.h"
#include "runtime/compiled/recorder.h"
#include "runtime/custom_operators.h"
#include "runtime/executable.h"
#include "runtime/run_hooks.h"
#include "runtime/thread_pool.h"
#include "sluice/session.h"

namespace sluice {

// What a session is. Throws what the standard library throws beside Error; session.cpp lets Error alone out.
class Session::Impl {
 public:
  using Import = std::function<std::unique_ptr<Graph>(const OperatorLookup& lookup)>;
  using OpenCompiled = std::function<std::shared_ptr<CompiledModel>(const OperatorLookup& lookup)>;

  // What Session::Load, LoadBytes and Compile do (session_load.cpp).
  static std::unique_ptr<Impl> Load(const std::string& path, const SessionOptions& options);
  static std::unique_ptr<Impl> LoadBytes(std::span<const std::byte> model, const SessionOptions& options);
  static void Compile(const std::string& model, const std::string& file, const SessionOptions& options,
                      std::span<const std::map<std::string, Shape>> shapes);

  // Of a model as it was exported. `recorder` watches, if there is one.
  Impl(const Import& import, const SessionOptions& options, std::shared_ptr<ModelRecorder> recorder = nullptr);
  // Of a compiled one. Throws Error{kUnsupported} unless it was compiled for this machine and these options.
  Impl(const OpenCompiled& open, const SessionOptions& options);

  ~Impl();

  NamedValues Run(const NamedValues& inputs, std::span<const std::string> wanted,
                  const RunOptions& options) const;

  void RunInto(const NamedValues& inputs, NamedValues& outputs, const RunOptions& options) const;

  void RunInto(std::span<const Value> inputs, std::span<Value> outputs, const RunOptions& options) const;

  // Calls `run`, which must not throw, on one of the threads; the destructor waits for it.
  void Async(std::function<void()> run) const;

  PlanInfo Prepare(const std::map<std::string, Shape>& shapes) const;

  const std::vector<ValueInfo>& inputs() const { return inputs_; }
  const std::vector<ValueInfo>& outputs() const { return outputs_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::vector<PassNote>& pass_notes() const { return pass_notes_; }
  const ThreadPool& pool() const { return *pool_; }
  const Executable& executable() const { return *executable_; }
  CacheInfo cache() const { return budget_->info(); }

 private:
  // Pointers to one run's values, in the model's order; kept for the next run, so that none allocates them.
  struct Call {
    std::vector<const Value*> inputs;
    std::vector<Value*> outputs;
    std::vector<Value> copies;  // of inputs that kernels cannot read where they are, or that are absent
  };

  struct Compilation;

  static std::unique_ptr<Impl> LoadCached(const std::string& path, const SessionOptions& options);

  // What all constructors begin with.
  explicit Impl(const SessionOptions& options);

  OperatorLookup Lookup() const;

  // Makes the executable of the optimized graph, and the plan where all sizes are known. `wrap` may give choosers
  // of kernels something to do before or after.
  void Start(std::unique_ptr<Graph> graph, const SessionOptions& options,
             const std::function<ChooseKernel(ChooseKernel)>& wrap);

  bool IsFixed() const;

  // What a recorder does not know of the session, for ModelRecorder::Write.
  CompiledTables DescribeForCompiling() const;

  static std::shared_ptr<ThreadPool> PoolFor(const SessionOptions& options);

  ChooseKernel ChooserFor(const Graph& graph, const SessionOptions& options,
                          const std::function<ChooseKernel(ChooseKernel)>& wrap) const;

  static void CheckCount(const std::vector<ValueInfo>& known, const std::string& what, size_t count);

  template <typename Fn>
  void WithCall(Fn fn) const;

  void Run(Call& call, const RunOptions& options) const;

  void LogLoad(std::string_view what, std::chrono::steady_clock::time_point start) const;

  void Optimize(Graph& graph, const SessionOptions& options);

  const CustomOperators custom_;
  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<CacheBudget> budget_;
  const RunHooks hooks_;
  std::vector<ValueInfo> inputs_, outputs_;
  std::map<std::string, std::string> metadata_;
  std::vector<PassNote> pass_notes_;
  std::shared_ptr<CompiledModel> compiled_;  // null: there is none
  std::shared_ptr<ModelRecorder> recorder_;  // likewise
  std::unique_ptr<Executable> executable_;
  mutable std::mutex calls_mutex_;
  mutable std::vector<std::unique_ptr<Call>> calls_;  // of no run
  mutable std::mutex async_mutex_;
  mutable std::condition_variable async_ended_;
  mutable int64_t async_runs_ = 0;
};

}  // namespace sluice
