#include "sluice/session.h"

#include <algorithm>
#include <new>
#include <stdexcept>

#include "graph/edit/edits.h"
#include "graph/import.h"
#include "graph/infer.h"
#include "graph/operator.h"
#include "graph/passes/pass.h"
#include "graph/random_outputs.h"
#include "graph/verify.h"
#include "kernels/evaluate.h"
#include "runtime/cpu_quota.h"
#include "runtime/executable.h"
#include "runtime/run_limits.h"
#include "runtime/thread_pool.h"
#include "runtime/tuner.h"

namespace sluice {
namespace {

ValueInfo InfoOf(const GraphValue& value) {
  ValueInfo info;
  info.name = value.name;
  info.dtype = value.type.dtype;
  info.is_sequence = value.type.kind == ValueType::Kind::kSequence;
  info.is_optional = value.type.kind == ValueType::Kind::kOptional;
  info.is_map = value.type.key_type != DataType::kUndefined;
  info.key_type = value.type.key_type;
  info.has_shape = value.type.has_shape;
  for (const Dim& dim : value.type.shape) {
    info.shape.push_back(dim.value());
    info.dim_names.push_back(dim.symbol());
  }
  return info;
}

// "'a', 'b' and 3 more".
std::string ListNames(const std::vector<ValueInfo>& values) {
  constexpr size_t kMost = 8;
  std::string text;
  for (size_t i = 0; i < std::min(values.size(), kMost); ++i)
    text += (i ? ", '" : "'") + values[i].name + "'";
  if (values.size() > kMost) text += " and " + std::to_string(values.size() - kMost) + " more";
  return text;
}

// Constants only; what fails here fails again, with its message, where the node is planned.
std::vector<Value> EvaluateForPasses(const Node& node, std::span<const Value> inputs) {
  try {
    return Evaluate(node, inputs);
  } catch (const Error&) {
    return {};
  }
}

bool Aligned(const Tensor& tensor) {
  const auto size = static_cast<uintptr_t>(std::max(1, DataTypeBits(tensor.dtype()) / 8));
  return reinterpret_cast<uintptr_t>(tensor.data()) % std::min<uintptr_t>(size, 8) == 0;
}

void CheckInput(const ValueInfo& info, const Value& value) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::kInvalidArgument, "input '" + info.name + "': " + what);
  };
  const auto check_map = [&](const Value& map, const std::string& what) {
    if (!map.is_map()) fail(what + " is no map");
    if (map.keys().dtype() == info.key_type && map.element_type() == info.dtype) return;
    fail(what + " is a map from " + std::string(DataTypeName(map.keys().dtype())) + " to " +
         std::string(DataTypeName(map.element_type())) + ", expected one from " +
         std::string(DataTypeName(info.key_type)) + " to " + std::string(DataTypeName(info.dtype)));
  };
  if (info.is_sequence) {
    if (!value.is_sequence()) fail("expected a sequence");
    if (!info.is_map) return;
    for (size_t i = 0; i < value.items().size(); ++i)
      check_map(value.items()[i], "item " + std::to_string(i));
    return;
  }
  if (info.is_map) return check_map(value, "the value");
  if (value.is_sequence()) fail("expected a tensor, found a sequence");
  if (value.is_map()) fail("expected a tensor, found a map");
  if (value.is_none()) fail("no value");
  const Tensor& tensor = value.tensor();
  if (tensor.dtype() != info.dtype) {
    fail("expected " + std::string(DataTypeName(info.dtype)) + ", found " +
         std::string(DataTypeName(tensor.dtype())));
  }
  if (!info.has_shape) return;
  bool fits = tensor.shape().size() == info.shape.size();
  for (size_t i = 0; fits && i < info.shape.size(); ++i) {
    fits = info.shape[i] < 0 || info.shape[i] == tensor.shape()[i];
  }
  if (fits) return;
  SymShape expected;
  for (size_t i = 0; i < info.shape.size(); ++i) {
    expected.push_back(info.shape[i] >= 0 ? Dim(info.shape[i]) : Dim::Symbol(info.dim_names[i]));
  }
  fail("expected shape " + ToString(expected) + ", found " + ToString(tensor.shape()));
}

// Lets nothing but Error out: what the standard library throws comes from sizes in the model or the inputs.
template <typename Fn>
auto OnlyErrors(Fn fn) {
  try {
    return fn();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::length_error&) {
    throw Error(ErrorCode::kOutOfMemory, "a size is larger than memory can be");
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kInternal, error.what());
  }
}

}  // namespace

class Session::Impl {
 public:
  Impl(std::unique_ptr<Graph> graph, const SessionOptions& options)
      : pool_(PoolFor(options)), budget_(std::make_shared<CacheBudget>(options.max_plans, options.max_cached_bytes)) {
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
    metadata_ = graph->metadata;
    const bool fixed =
        std::all_of(inputs_.begin(), inputs_.end(), [](const ValueInfo& info) { return IsFixed(info); });
    executable_ = fixed ? std::make_unique<Executable>(std::move(graph), budget_, options.profile, ChooserFor(options))
                        : std::make_unique<Executable>(std::shared_ptr<const Graph>(std::move(graph)), budget_,
                                                       options.profile, ChooserFor(options));
    // Where all sizes are known the first run finds its plan made, and mistakes show at load.
    std::map<std::string, Shape> none;
    if (fixed) Prepare(none);
  }

  NamedValues Run(const NamedValues& inputs, std::span<const std::string> wanted,
                  const RunOptions& options) const {
    std::vector<Value> values;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const auto given = inputs.find(inputs_[i].name);
      if (given == inputs.end() && inputs_[i].is_optional) {
        values.emplace_back();
        continue;
      }
      if (given == inputs.end()) {
        throw Error(ErrorCode::kInvalidArgument, "input '" + inputs_[i].name + "' is missing");
      }
      if (!inputs_[i].is_optional) CheckInput(inputs_[i], given->second);
      values.push_back(given->second);
      if (values.back().is_tensor() && !Aligned(values.back().tensor())) {
        values.back() = values.back().tensor().Clone();
      }
    }
    for (const auto& [name, value] : inputs) CheckName(inputs_, "input", name);
    for (const std::string& name : wanted) CheckName(outputs_, "output", name);

    std::vector<Value> results;
    const RunLimits limits(options);
    const RunLimits* const stated = options.deadline || options.cancel != nullptr ? &limits : nullptr;
    pool_->Run([&] {
      const RunLimits::Scope scope(stated);
      results = executable_->Run(values, options.observer, options.profile);
    });
    NamedValues named;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const std::string& name = outputs_[i].name;
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end()) {
        named[name] = std::move(results[i]);
      }
    }
    return named;
  }

  PlanInfo Prepare(const std::map<std::string, Shape>& shapes) const {
    for (const auto& [name, shape] : shapes) CheckName(inputs_, "input", name);
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

  const std::vector<ValueInfo>& inputs() const { return inputs_; }
  const std::vector<ValueInfo>& outputs() const { return outputs_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::vector<PassNote>& pass_notes() const { return pass_notes_; }
  const ThreadPool& pool() const { return *pool_; }
  const Executable& executable() const { return *executable_; }
  CacheInfo cache() const { return budget_->info(); }

 private:
  static std::shared_ptr<ThreadPool> PoolFor(const SessionOptions& options) {
    if (options.threads < 0 || options.threads > ThreadPool::kMaxThreads) {
      throw Error(ErrorCode::kInvalidArgument, "threads is " + std::to_string(options.threads) +
                                                   ", expected 0 to " +
                                                   std::to_string(ThreadPool::kMaxThreads));
    }
    return ThreadPool::Get(options.threads == 0 ? AvailableCpus() : options.threads);
  }

  ChooseKernel ChooserFor(const SessionOptions& options) const {
    if (options.tuning_file.empty()) return PrepareKernel;
    return [tuner = Tuner::ForFile(options.tuning_file), threads = pool_->threads()](
               const Node& node, const std::function<PrepareContext()>& make_context) {
      return tuner->Prepare(node, threads, make_context);
    };
  }

  static bool IsFixed(const ValueInfo& info) {
    return !info.is_sequence && !info.is_map && info.has_shape && info.dtype != DataType::kUndefined &&
           std::all_of(info.shape.begin(), info.shape.end(), [](int64_t size) { return size >= 0; });
  }

  static void CheckName(const std::vector<ValueInfo>& known, const std::string& what,
                        const std::string& name) {
    if (std::any_of(known.begin(), known.end(), [&](const ValueInfo& info) { return info.name == name; }))
      return;
    throw Error(ErrorCode::kInvalidArgument,
                "the model has no " + what + " '" + name + "'; it has " + ListNames(known));
  }

  void Optimize(Graph& graph, const SessionOptions& options) {
    Verify(graph);
    InferShapes(graph);
    if (options.passes) {
      PassContext ctx;
      ctx.evaluate = EvaluateForPasses;
      RunPasses(graph, options.disabled_passes, ctx);
      for (PassContext::Note& note : ctx.notes) {
        pass_notes_.push_back(
            {std::move(note.pass), std::move(note.place), std::move(note.text), note.applied});
      }
    }
    graph.Compact();
  }

  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<CacheBudget> budget_;
  std::vector<ValueInfo> inputs_, outputs_;
  std::map<std::string, std::string> metadata_;
  std::vector<PassNote> pass_notes_;
  std::unique_ptr<Executable> executable_;
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Session Session::Load(const std::string& path, const SessionOptions& options) {
  try {
    return OnlyErrors([&] { return Session(std::make_unique<Impl>(ImportOnnx(path, options.copy_files), options)); });
  } catch (const Error& error) {
    if (std::string_view(error.what()).find(path) != std::string_view::npos) throw;
    throw Error(error.code(), path + ": " + error.what());
  }
}

Session Session::LoadBytes(std::span<const std::byte> model, const SessionOptions& options) {
  return OnlyErrors(
      [&] { return Session(std::make_unique<Impl>(ImportOnnxBytes(model, nullptr), options)); });
}

const std::vector<ValueInfo>& Session::inputs() const { return impl_->inputs(); }
const std::vector<ValueInfo>& Session::outputs() const { return impl_->outputs(); }
const std::map<std::string, std::string>& Session::metadata() const { return impl_->metadata(); }
int Session::threads() const { return impl_->pool().threads(); }

NamedValues Session::Run(const NamedValues& inputs, std::span<const std::string> outputs,
                         const RunOptions& options) const {
  return OnlyErrors([&] { return impl_->Run(inputs, outputs, options); });
}

PlanInfo Session::Prepare(const std::map<std::string, Shape>& input_shapes) const {
  return OnlyErrors([&] { return impl_->Prepare(input_shapes); });
}

CacheInfo Session::cache() const { return impl_->cache(); }

std::vector<StepProfile> Session::profile() const { return impl_->executable().profile(); }
std::vector<TraceEvent> Session::trace() const { return impl_->executable().trace(); }
const std::vector<PassNote>& Session::pass_notes() const { return impl_->pass_notes(); }

}  // namespace sluice
