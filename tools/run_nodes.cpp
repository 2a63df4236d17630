#include "tools/run_nodes.h"

#include "kernels/evaluate.h"
#include "kernels/pack_cache.h"
#include "runtime/cache_budget.h"
#include "runtime/cpu_quota.h"
#include "runtime/executable.h"
#include "runtime/thread_pool.h"
#include "sluice/error.h"

namespace sluice::tools {
namespace {

// The values of a run and how many nodes have yet to read them.
class Values {
 public:
  Values(Graph& graph, const std::vector<Value>& inputs)
      : graph_(graph), values_(graph.num_values()), uses_(graph.num_values()) {
    for (NodeId id : graph.TopologicalOrder()) {
      for (ValueId value : graph.node(id).inputs) {
        if (value != ValueId::kNone) ++uses_[Place(value)];
      }
    }
    for (ValueId value : graph.outputs) ++uses_[Place(value)];
    for (size_t i = 0; i < inputs.size(); ++i) values_[Place(graph.inputs[i])] = inputs[i];
  }

  bool Has(ValueId id) const {
    return id == ValueId::kNone || graph_.IsConstant(id) || !values_[Place(id)].is_none();
  }
  // Kept until the end, whoever reads it.
  void Keep(ValueId id) { ++uses_[Place(id)]; }

  // What a node reads. Done follows when it has read it.
  Value Get(ValueId id) const {
    if (id == ValueId::kNone) return {};
    if (graph_.IsConstant(id)) return graph_.value(id).constant;
    return values_[Place(id)];
  }
  void Done(ValueId id) {
    if (id == ValueId::kNone || --uses_[Place(id)] > 0) return;
    graph_.value(id).constant = {};
    values_[Place(id)] = {};
  }
  void Set(ValueId id, Value value) {
    if (id != ValueId::kNone && uses_[Place(id)] > 0) values_[Place(id)] = std::move(value);
  }

 private:
  static size_t Place(ValueId id) { return static_cast<size_t>(id); }

  Graph& graph_;
  std::vector<Value> values_;
  std::vector<size_t> uses_;
};

void RunNode(const Node& node, Values& values) {
  std::vector<Value> given;
  for (ValueId input : node.inputs) given.push_back(values.Get(input));
  std::vector<Value> results = Evaluate(node, given);
  given.clear();
  for (ValueId input : node.inputs) values.Done(input);
  for (size_t i = 0; i < node.outputs.size(); ++i) values.Set(node.outputs[i], std::move(results[i]));
}

}  // namespace

bool HasNestedGraphs(const Graph& graph) {
  for (NodeId id : graph.TopologicalOrder()) {
    for (const auto& [name, attribute] : graph.node(id).attrs.all()) {
      if (std::holds_alternative<std::shared_ptr<Graph>>(attribute)) return true;
    }
  }
  return false;
}

std::vector<Value> RunAsWritten(std::unique_ptr<Graph> graph, const std::vector<Value>& inputs) {
  graph->Compact();
  std::vector<Value> results;
  const auto pool = ThreadPool::Get(AvailableCpus());
  if (HasNestedGraphs(*graph)) {
    const auto budget = std::make_shared<CacheBudget>(1, 0);
    pool->Run([&] { results = Executable(std::move(graph), budget, false).Run(inputs); });
    return results;
  }
  pool->Run([&] {
    const PackAloneScope alone;
    Values values(*graph, inputs);
    for (NodeId id : graph->TopologicalOrder()) RunNode(graph->node(id), values);
    for (ValueId output : graph->outputs) results.push_back(values.Get(output).Owned());
  });
  return results;
}

std::map<std::string, Value> RunAsFarAsPossible(std::unique_ptr<Graph> graph,
                                                const std::vector<Value>& inputs,
                                                const std::set<std::string>& wanted) {
  graph->Compact();
  std::map<std::string, Value> results;
  ThreadPool::Get(AvailableCpus())->Run([&] {
    const PackAloneScope alone;
    Values values(*graph, inputs);
    std::set<ValueId> kept(graph->outputs.begin(), graph->outputs.end());
    for (size_t i = 0; i < graph->num_values(); ++i) {
      const auto id = static_cast<ValueId>(i);
      if (wanted.count(graph->value(id).name) == 0) continue;
      values.Keep(id);
      kept.insert(id);
    }
    for (NodeId id : graph->TopologicalOrder()) {
      const Node& node = graph->node(id);
      bool known = true;
      for (ValueId input : node.inputs) known &= values.Has(input);
      try {
        if (known) RunNode(node, values);
      } catch (const Error&) {
        known = false;
      }
      if (known) continue;
      for (ValueId input : node.inputs) {
        if (input != ValueId::kNone && !graph->IsConstant(input)) kept.insert(input);
      }
    }
    for (ValueId id : kept) {
      if (Value value = values.Get(id); !value.is_none()) results[graph->value(id).name] = value.Owned();
    }
  });
  return results;
}

}  // namespace sluice::tools
