#include "graph/edit/edits.h"

namespace sluice {

void ForEachGraph(Graph& graph, const std::function<void(Graph&)>& fn) {
  for (size_t i = 0; i < graph.num_node_ids(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.alive(id)) continue;
    for (const auto& [name, attribute] : graph.node(id).attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute)) ForEachGraph(**nested, fn);
    }
  }
  fn(graph);
}

}  // namespace sluice
