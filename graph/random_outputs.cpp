#include "graph/random_outputs.h"

#include <algorithm>

#include "graph/operator.h"

namespace sluice {
namespace {

// `node` itself draws numbers, or a node in one of its nested graphs does.
bool Draws(const Node& node) {
  if (node.op != nullptr && node.op->random) return true;
  for (const auto& [name, attribute] : node.attrs.all()) {
    const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute);
    if (nested == nullptr) continue;
    for (NodeId id : (*nested)->TopologicalOrder()) {
      if (Draws((*nested)->node(id))) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<bool> RandomOutputs(const Graph& graph) {
  std::vector<bool> random(graph.num_values());
  const auto is_random = [&](ValueId id) { return id != ValueId::kNone && random[static_cast<size_t>(id)]; };
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    const bool spreads = node.op == nullptr || !node.op->shape_only;
    if (!Draws(node) && !(spreads && std::any_of(node.inputs.begin(), node.inputs.end(), is_random))) continue;
    for (ValueId output : node.outputs) {
      if (output != ValueId::kNone) random[static_cast<size_t>(output)] = true;
    }
  }
  std::vector<bool> outputs;
  for (ValueId output : graph.outputs) outputs.push_back(is_random(output));
  return outputs;
}

}  // namespace sluice
