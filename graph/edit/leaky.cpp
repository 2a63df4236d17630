//   x --> Mul(0.1) --> Max(x, .) --> y       becomes       x --> LeakyRelu(0.1) --> y     (SpellLeakyRelu)
//   x --> Relu --> y                         becomes       x --> LeakyRelu(a) --> y       (ReluToLeaky)

#include "graph/edit/edits.h"
#include "graph/passes/activation.h"
#include "graph/passes/match.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

// The version does not matter: ConvertOpset gives the node the one of the graph's opset.
constexpr int kNewest = 16;

bool IsLeaky(const Graph& graph, const Activation& found) {
  if (found.ops.size() != 1 || found.ops[0].kind != PostOp::Kind::kLeakyRelu) return false;
  return found.nodes.size() > 1 || graph.node(found.nodes[0]).op_type != "LeakyRelu";
}

bool ReplaceAt(Graph& graph, ValueId x, PassContext& ctx) {
  const auto found = FindActivation(graph, ctx, x, [&](const Activation& a) { return IsLeaky(graph, a); });
  if (!found) return false;
  const NodeId last = graph.value(found->result).producer;
  ctx.Applied(graph, graph.node(last),
              ToString(found->ops[0]) + " in place of " + std::to_string(found->nodes.size()) +
                  (found->nodes.size() == 1 ? " node" : " nodes"));
  ReplaceNode(graph, last, MakeOp("LeakyRelu", kNewest, {x}, {{"alpha", found->ops[0].alpha}}));
  return true;
}

int64_t SpellIn(Graph& graph, PassContext& ctx) {
  int64_t count = 0;
  const std::vector<ValueId> inputs = graph.inputs;
  for (ValueId input : inputs) count += ReplaceAt(graph, input, ctx);
  for (NodeId id : graph.TopologicalOrder()) {
    if (!graph.alive(id)) continue;
    const std::vector<ValueId> outputs = graph.node(id).outputs;
    for (ValueId output : outputs) {
      if (output != ValueId::kNone && graph.alive(id)) count += ReplaceAt(graph, output, ctx);
    }
  }
  return count;
}

}  // namespace

int64_t SpellLeakyRelu(Graph& graph, PassContext& ctx) {
  ctx.pass = "leaky";
  int64_t count = 0;
  ForEachGraph(graph, [&](Graph& part) { count += SpellIn(part, ctx); });
  return count;
}

int64_t ReluToLeaky(Graph& graph, float alpha) {
  int64_t count = 0;
  ForEachGraph(graph, [&](Graph& part) {
    for (NodeId id : part.TopologicalOrder()) {
      if (!IsOp(part.node(id), "Relu")) continue;
      ReplaceNode(part, id, MakeOp("LeakyRelu", kNewest, {part.node(id).inputs[0]}, {{"alpha", alpha}}));
      ++count;
    }
  });
  return count;
}

}  // namespace sluice
