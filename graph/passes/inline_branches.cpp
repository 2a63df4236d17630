//   c --> If { then: a --> f --> y1, else: ... } --> y        becomes        a --> f --> y
//
// where the condition c is a constant. What exporters leave as a choice by sizes is none once these are
// known, and the results of an If have no sizes before the run: nothing behind it could be planned.

#include <algorithm>

#include "graph/infer.h"
#include "graph/passes/passes.h"

namespace sluice {
namespace {

// The attribute that holds the branch taken; empty where that is not known.
std::string_view TakenBranch(const Graph& graph, const Node& node) {
  if (node.op_type != "If" || !node.domain.empty() || node.inputs.empty()) return {};
  if (!graph.IsConstant(node.inputs[0])) return {};
  const Tensor& condition = graph.value(node.inputs[0]).constant;
  if (condition.dtype() != DataType::kBool || condition.num_elements() != 1) return {};
  const std::string_view name = condition.values<bool>()[0] ? "then_branch" : "else_branch";
  const Graph& branch = *node.attrs.Subgraph(name);
  const bool fits =
      branch.outputs.size() == node.outputs.size() && static_cast<int>(branch.inputs.size()) == node.captures;
  return fits ? name : std::string_view();
}

// Copies the nodes of `branch`, whose inputs are the last inputs of the node, and lets them make its outputs.
void Inline(Graph& graph, NodeId id, const Graph& branch) {
  const std::vector<ValueId> inputs = graph.node(id).inputs, outputs = graph.node(id).outputs;
  std::vector<ValueId> copies(branch.num_values(), ValueId::kNone);
  for (size_t i = 0; i < branch.inputs.size(); ++i) {
    copies[static_cast<size_t>(branch.inputs[i])] = inputs[inputs.size() - branch.inputs.size() + i];
  }
  const auto copy_of = [&](ValueId value) {
    if (value == ValueId::kNone) return value;
    ValueId& copy = copies[static_cast<size_t>(value)];
    if (copy == ValueId::kNone) {
      const GraphValue& from = branch.value(value);
      if (!from.constant.empty()) return copy = graph.AddConstant(from.name, from.constant);
      ValueType type = from.type;
      // Sizes that the branch states may be those of other inputs.
      type.has_shape = false;
      type.shape.clear();
      copy = graph.AddValue(from.name, std::move(type));
    }
    return copy;
  };
  for (NodeId inner : branch.TopologicalOrder()) {
    Node node = branch.node(inner);
    for (ValueId& input : node.inputs) input = copy_of(input);
    for (ValueId& output : node.outputs) output = copy_of(output);
    graph.AddNode(std::move(node));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i] != ValueId::kNone) graph.ReplaceUses(outputs[i], copy_of(branch.outputs[i]));
  }
  graph.RemoveNode(id);
}

bool Run(Graph& graph, PassContext& ctx) {
  bool changed = false;
  // The nodes of a branch come to the end: those that are choices themselves get their turn.
  for (size_t i = 0; i < graph.num_node_ids(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.alive(id)) continue;
    const std::string_view name = TakenBranch(graph, graph.node(id));
    if (name.empty()) continue;
    ctx.Applied(graph, graph.node(id), "its " + std::string(name) + " stands in its place");
    const std::shared_ptr<Graph> branch = graph.node(id).attrs.Subgraph(name);
    Inline(graph, id, *branch);
    changed = true;
  }
  if (changed) InferShapes(graph);
  return changed;
}

}  // namespace

const Pass kInlineBranches = {"inline-branches",
                              "puts the branch of an If whose condition is known in its place", Run};

}  // namespace sluice
