//   x --> Op --> (nobody)      becomes        nothing
//
// and outputs that nobody reads are no longer named, so that kernels need not compute them.

#include "graph/operator.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

bool Unused(const Graph& graph, ValueId value) {
  return value != ValueId::kNone && graph.value(value).users.empty() && !graph.IsOutput(value);
}

bool Run(Graph& graph, PassContext& ctx) {
  bool changed = false;
  const std::vector<NodeId> order = graph.TopologicalOrder();
  for (size_t i = order.size(); i-- > 0;) {
    Node& node = graph.node(order[i]);
    size_t unused = 0;
    for (ValueId output : node.outputs) unused += output == ValueId::kNone || Unused(graph, output);
    if (unused == node.outputs.size()) {
      ctx.Applied(graph, node, "removed: nobody uses its result");
      graph.RemoveNode(order[i]);
      changed = true;
      continue;
    }
    if (unused == 0 || node.op == nullptr) continue;
    for (size_t output = static_cast<size_t>(node.op->min_outputs); output < node.outputs.size(); ++output) {
      if (Unused(graph, node.outputs[output])) {
        graph.SetOutput(order[i], output, ValueId::kNone);
        changed = true;
      }
    }
    while (node.outputs.size() > static_cast<size_t>(node.op->min_outputs) &&
           node.outputs.back() == ValueId::kNone && node.op->max_outputs != Operator::kMany) {
      node.outputs.pop_back();
    }
  }
  return changed;
}

}  // namespace

const Pass kRemoveDead = {"remove-dead", "drops nodes and outputs that nobody uses", Run};

}  // namespace sluice
