#include "tools/check_conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/import.h"
#include "graph/infer.h"
#include "graph/operator.h"
#include "graph/verify.h"
#include "kernels/evaluate.h"
#include "runtime/cache_budget.h"
#include "runtime/cpu_quota.h"
#include "runtime/executable.h"
#include "runtime/thread_pool.h"
#include "sluice/error.h"
#include "tools/compare.h"
#include "tools/elements.h"
#include "tools/model_args.h"

namespace sluice::tools {
namespace {

constexpr uint64_t kSeed = 1;
// Weights that were rounded to float16's 11 bits, and sums of them.
constexpr double kRoundedError = 0.05;

[[noreturn]] void Fail(const std::string& what) {
  throw Error(ErrorCode::kInternal, "the converted model failed its check, nothing was written: " + what);
}

ValueInfo InfoOf(const GraphValue& value) {
  ValueInfo info;
  info.name = value.name;
  info.dtype = value.type.dtype;
  info.has_shape = value.type.has_shape;
  info.is_sequence = value.type.kind == ValueType::Kind::kSequence;
  info.is_optional = value.type.kind == ValueType::Kind::kOptional;
  for (const Dim& dim : value.type.shape) info.shape.push_back(dim.value());
  return info;
}

// Results that no two runs share.
bool IsRandom(const Graph& graph) {
  for (size_t i = 0; i < graph.num_node_ids(); ++i) {
    if (!graph.alive(static_cast<NodeId>(i))) continue;
    const Node& node = graph.node(static_cast<NodeId>(i));
    for (const std::string_view name : {"RandomNormal", "RandomNormalLike", "RandomUniform",
                                        "RandomUniformLike", "Multinomial", "Bernoulli"}) {
      if (node.op_type == name && !node.attrs.Has("seed")) return true;
    }
    if (node.op_type == "Dropout" && node.inputs.size() > 2) return true;
    for (const auto& [name, attribute] : node.attrs.all()) {
      const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute);
      if (nested != nullptr && IsRandom(**nested)) return true;
    }
  }
  return false;
}

bool HasNestedGraphs(const Graph& graph) {
  for (NodeId id : graph.TopologicalOrder()) {
    for (const auto& [name, attribute] : graph.node(id).attrs.all()) {
      if (std::holds_alternative<std::shared_ptr<Graph>>(attribute)) return true;
    }
  }
  return false;
}

// Node after node: packed weights live as long as their node runs, values until their last use, so that
// memory for the weights is needed once.
std::vector<Value> RunNodes(Graph& graph, const std::vector<Value>& inputs) {
  const std::vector<NodeId> order = graph.TopologicalOrder();
  std::vector<size_t> uses(graph.num_values());
  for (NodeId id : order) {
    for (ValueId value : graph.node(id).inputs) {
      if (value != ValueId::kNone) ++uses[static_cast<size_t>(value)];
    }
  }
  for (ValueId value : graph.outputs) ++uses[static_cast<size_t>(value)];
  std::vector<Value> values(graph.num_values());
  for (size_t i = 0; i < inputs.size(); ++i) values[static_cast<size_t>(graph.inputs[i])] = inputs[i];
  const auto take = [&](ValueId id) -> Value {
    if (id == ValueId::kNone) return {};
    const auto place = static_cast<size_t>(id);
    const bool last = --uses[place] == 0;
    if (Tensor& constant = graph.value(id).constant; !constant.empty())
      return last ? std::move(constant) : constant;
    return last ? std::move(values[place]) : values[place];
  };
  for (NodeId id : order) {
    const Node& node = graph.node(id);
    std::vector<Value> given;
    for (ValueId input : node.inputs) given.push_back(take(input));
    std::vector<Value> results = Evaluate(node, given);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == ValueId::kNone || uses[static_cast<size_t>(node.outputs[i])] == 0) continue;
      values[static_cast<size_t>(node.outputs[i])] = std::move(results[i]);
    }
  }
  std::vector<Value> results;
  for (ValueId output : graph.outputs) results.push_back(take(output).Owned());
  return results;
}

std::vector<Value> RunAsWritten(std::unique_ptr<Graph> graph, const std::vector<Value>& inputs) {
  graph->Compact();
  std::vector<Value> results;
  const auto pool = ThreadPool::Get(AvailableCpus());
  if (HasNestedGraphs(*graph)) {
    const auto budget = std::make_shared<CacheBudget>(1, 0);
    pool->Run([&] { results = Executable(std::move(graph), budget, false).Run(inputs); });
  } else {
    pool->Run([&] { results = RunNodes(*graph, inputs); });
  }
  return results;
}

double LargestMagnitude(const Value& value) {
  if (!value.is_tensor()) return 0;
  const Summary summary = Summarize(value.tensor());
  return summary.known ? std::max(std::abs(summary.min), std::abs(summary.max)) : 0;
}

}  // namespace

ConversionCheck CheckByRun(std::unique_ptr<Graph> original, const std::string& file, bool approximate,
                           const std::function<void(std::string_view)>& stage) {
  ConversionCheck check;
  std::vector<Value> inputs, want, got;
  std::vector<std::string> names;
  const bool random = IsRandom(*original);
  for (ValueId id : original->outputs) names.push_back(original->value(id).name);
  try {
    for (ValueId id : original->inputs)
      inputs.push_back(Noise(InfoOf(original->value(id)), kSeed + inputs.size()));
    stage("running the original");
    want = RunAsWritten(std::move(original), inputs);
  } catch (const Error& error) {
    check.reason = error.what();
    return check;
  }
  try {
    stage("running the result");
    std::unique_ptr<Graph> converted = ImportOnnx(file);
    InferShapes(*converted);
    got = RunAsWritten(std::move(converted), inputs);
  } catch (const Error& error) {
    Fail(error.what());
  }
  check.ran = true;
  for (size_t i = 0; i < want.size(); ++i) {
    const Comparison result = Compare(got[i], want[i], {});
    const double largest = LargestMagnitude(want[i]);
    const double relative = result.largest_error / (largest > 0 ? largest : 1);
    if (random) continue;
    if (!result.equal && !(approximate && relative <= kRoundedError)) {
      Fail(fmt::format("output '{}': {}", names[i], result.message));
    }
    check.largest_error = std::max(check.largest_error, relative);
  }
  return check;
}

Signature::Signature(const Graph& graph) {
  for (ValueId id : graph.inputs) inputs.push_back({graph.value(id).name, graph.value(id).type});
  for (ValueId id : graph.outputs) {
    const auto uses = std::count(graph.inputs.begin(), graph.inputs.end(), id) +
                      std::count(graph.outputs.begin(), graph.outputs.end(), id);
    outputs.push_back({graph.value(id).name, graph.value(id).type, uses > 1});
  }
}

void CheckByImport(const Signature& signature, const std::string& file) {
  std::unique_ptr<Graph> again;
  try {
    again = ImportOnnx(file);
    Verify(*again);
    InferShapes(*again);
  } catch (const Error& error) {
    Fail(error.what());
  }
  const auto same = [&](const std::vector<Signature::Port>& wanted, const std::vector<ValueId>& found,
                        const char* what) {
    if (wanted.size() != found.size())
      Fail(fmt::format("{} {}s instead of {}", found.size(), what, wanted.size()));
    for (size_t i = 0; i < wanted.size(); ++i) {
      const GraphValue& value = again->value(found[i]);
      if (wanted[i].name != value.name && !wanted[i].shared) {
        Fail(fmt::format("{} '{}' is called '{}'", what, wanted[i].name, value.name));
      }
      if (wanted[i].type.dtype != value.type.dtype) {
        Fail(fmt::format("{} '{}' is {} instead of {}", what, wanted[i].name, ToString(value.type),
                         ToString(wanted[i].type)));
      }
    }
  };
  same(signature.inputs, again->inputs, "input");
  same(signature.outputs, again->outputs, "output");
}

}  // namespace sluice::tools
