#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "graph/graph.h"
#include "tools/graph_match.h"
#include "tools/step_groups.h"

namespace sluice::tools {

// A model as tools/inspect_page draws it:
//   {name, file, facts: [[word, value]],
//    nodes: [{op, name, domain, shape, inputs, outputs, attributes: [[name, text]], weights: [{name, type,
//    facts}],
//             mark: "changed" | "only", differences: [text], partner}],
//    groups: [{label, name, members: [node], kernel, ms, time}],
//    edges: [[from node, to node]]}
// Inputs and outputs of the model are nodes of their own, operators Input and Output. Absent fields have
// nothing to say.
class GraphJson {
 public:
  GraphJson(const Graph& graph, std::span<const StepGroup> groups);

  nlohmann::ordered_json json;

  // The place of a node in json["nodes"].
  int place(NodeId id) const { return places_.at(id); }
  // Of an input or output by its position.
  int input(size_t i) const { return static_cast<int>(i); }
  int output(size_t i) const { return first_output_ + static_cast<int>(i); }

 private:
  void AddNodes(const Graph& graph);
  void AddEdges(const Graph& graph);
  void AddGroups(std::span<const StepGroup> groups);

  std::map<NodeId, int> places_;
  int first_output_ = 0;
};

// Writes marks, differences and partners into both. Returns "3 nodes differ, 1 only in the first, 0 only in
// the second".
std::string MarkDifferences(const Graph& a, GraphJson& left, const Graph& b, GraphJson& right);

}  // namespace sluice::tools
