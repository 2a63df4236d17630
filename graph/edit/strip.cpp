#include <algorithm>

#include "graph/edit/edits.h"
#include "graph/passes/passes.h"

namespace sluice {
namespace {

bool IsInput(const Graph& graph, ValueId id) {
  return std::find(graph.inputs.begin(), graph.inputs.end(), id) != graph.inputs.end();
}

}  // namespace

void Strip(Graph& graph) {
  PassContext notes;
  int64_t count = 0;
  graph.doc.clear();
  ForEachGraph(graph, [&](Graph& part) {
    kRemoveDead.run(part, notes);
    part.Compact();
    part.name.clear();
    for (NodeId id : part.TopologicalOrder()) part.node(id).name.clear();
    for (size_t i = 0; i < part.num_values(); ++i) {
      const auto id = static_cast<ValueId>(i);
      const bool shown = &part == &graph && (IsInput(part, id) || part.IsOutput(id));
      if (!shown) part.value(id).name = std::to_string(++count);
    }
  });
}

}  // namespace sluice
