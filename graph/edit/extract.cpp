//   x --> A --> b --> B --> c --> C --> y      extract b..c      b --> B --> c

#include <algorithm>
#include <set>

#include "graph/edit/edits.h"
#include "sluice/error.h"

namespace sluice {
namespace {

[[noreturn]] void Fail(const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, "extract: " + what);
}

ValueId FindValue(const Graph& graph, const std::string& name) {
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (graph.value(id).name == name) return id;
  }
  // Names that only differ in what is around them: "conv1" for "stem/conv1:0".
  constexpr size_t kMost = 5;
  std::string similar;
  size_t count = 0;
  for (size_t i = 0; i < graph.num_values() && count < kMost && !name.empty(); ++i) {
    const std::string& other = graph.value(static_cast<ValueId>(i)).name;
    if (other.find(name) == std::string::npos) continue;
    similar += (count++ ? ", '" : "'") + other + "'";
  }
  Fail("the model has no value '" + name + "'" + (similar.empty() ? "" : "; it has " + similar));
}

std::vector<ValueId> FindValues(const Graph& graph, std::span<const std::string> names) {
  std::vector<ValueId> ids;
  for (const std::string& name : names) {
    ids.push_back(FindValue(graph, name));
    if (std::count(ids.begin(), ids.end(), ids.back()) > 1) Fail("value '" + name + "' is named twice");
  }
  return ids;
}

// Makes a value an input, whatever gave it before.
void Detach(Graph& graph, ValueId id) {
  graph.value(id).constant = {};
  const NodeId producer = graph.value(id).producer;
  if (producer == NodeId::kNone) return;
  auto& outputs = graph.node(producer).outputs;
  const auto at = std::find(outputs.begin(), outputs.end(), id) - outputs.begin();
  graph.SetOutput(producer, static_cast<size_t>(at), ValueId::kNone);
}

}  // namespace

void ExtractSubgraph(Graph& graph, std::span<const std::string> from, std::span<const std::string> to) {
  const std::vector<ValueId> begins = FindValues(graph, from);
  const std::vector<ValueId> ends = to.empty() ? graph.outputs : FindValues(graph, to);
  // Backwards from the ends to the begins.
  std::set<ValueId> seen, stops(begins.begin(), begins.end()), met;
  std::set<NodeId> kept;
  std::vector<ValueId> todo = ends, inputs = begins;
  while (!todo.empty()) {
    const ValueId id = todo.back();
    todo.pop_back();
    if (id == ValueId::kNone || !seen.insert(id).second) continue;
    if (stops.contains(id)) {
      met.insert(id);
      continue;
    }
    const NodeId producer = graph.value(id).producer;
    if (producer != NodeId::kNone) {
      kept.insert(producer);
      const auto& more = graph.node(producer).inputs;
      todo.insert(todo.end(), more.begin(), more.end());
    } else if (graph.value(id).constant.empty() && !from.empty()) {
      Fail("what is asked for also needs input '" + graph.value(id).name + "', which FROM does not name");
    }
  }
  for (ValueId id : begins) {
    if (!met.contains(id)) Fail("nothing that is asked for needs value '" + graph.value(id).name + "'");
    if (graph.value(id).type.dtype == DataType::kUndefined) {
      Fail("the element type of value '" + graph.value(id).name + "' is not known, so it cannot be an input");
    }
  }
  if (from.empty()) {
    for (ValueId id : graph.inputs) {
      if (seen.contains(id)) inputs.push_back(id);
    }
  }
  graph.outputs = ends;
  const std::vector<NodeId> order = graph.TopologicalOrder();
  for (size_t i = order.size(); i-- > 0;) {
    if (!kept.contains(order[i])) graph.RemoveNode(order[i]);
  }
  for (ValueId id : begins) Detach(graph, id);
  graph.inputs = std::move(inputs);
  graph.Compact();
}

}  // namespace sluice
