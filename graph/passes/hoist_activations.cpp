//   x --> Conv --> MaxPool --> LeakyRelu(0.1) --> y      becomes      x --> Conv + LeakyRelu(0.1) --> MaxPool
//   --> y
//
// for every activation that never falls, since the largest of f(x) is then f of the largest x: the
// convolution computes it almost for nothing.

#include <algorithm>

#include "graph/passes/activation.h"
#include "graph/passes/match.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

using Kind = PostOp::Kind;

bool NeverFalls(const PostOp& op) {
  switch (op.kind) {
    case Kind::kRelu:
    case Kind::kClip:
    case Kind::kSigmoid:
    case Kind::kTanh:
    case Kind::kExp:
      return true;
    case Kind::kLeakyRelu:
    case Kind::kElu:
    case Kind::kHardSigmoid:
    case Kind::kLinear:
      return op.alpha >= 0;
    default:
      return false;
  }
}

bool Hoist(Graph& graph, NodeId id, PassContext& ctx) {
  const Node& pool = graph.node(id);
  if (!IsOp(pool, "MaxPool") || pool.op->takes_post_ops || !OnlyFirstOutputUsed(graph, pool)) return false;
  const NodeId producer = ExclusiveProducer(graph, pool.inputs[0]);
  const ValueId pooled = pool.outputs[0];
  if (producer == NodeId::kNone || !TakesPostOps(graph, graph.node(producer)) || graph.IsOutput(pooled))
    return false;
  const auto found = FindActivation(graph, ctx, pooled, [&](const Activation& a) {
    const auto& users = graph.value(pooled).users;
    return !a.ops.empty() && std::all_of(users.begin(), users.end(), [&](NodeId user) {
      return std::find(a.nodes.begin(), a.nodes.end(), user) != a.nodes.end();
    });
  });
  if (!found) return false;
  const NodeId last = graph.value(found->result).producer;
  Node& target = graph.node(producer);
  const std::string place = Describe(target, graph.value(target.outputs[0]).name);
  for (const PostOp& op : found->ops) {
    if (NeverFalls(op)) continue;
    ctx.Kept(graph, graph.node(last), ToString(op) + " stays behind MaxPool: it does not only rise");
    return false;
  }
  std::string text;
  for (const PostOp& op : found->ops) text += (text.empty() ? "" : " and ") + ToString(op);
  ctx.Applied(graph, graph.node(last), text + " moved over MaxPool and fused into " + place);
  target.post_ops.insert(target.post_ops.end(), found->ops.begin(), found->ops.end());
  graph.value(target.outputs[0]).name += "/activated";
  Absorb(graph, last, pooled);
  return true;
}

bool Run(Graph& graph, PassContext& ctx) {
  bool changed = false;
  for (NodeId id : graph.TopologicalOrder()) changed |= graph.alive(id) && Hoist(graph, id, ctx);
  return changed;
}

}  // namespace

const Pass kHoistActivations = {"hoist-activations", "moves activations over MaxPool into what is before it",
                                Run};

}  // namespace sluice
