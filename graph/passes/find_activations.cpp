//   x --> Mul(0.1) --> Max(x, .) --> y       becomes       x --> LeakyRelu(0.1) --> y
//
// and likewise every spelling of an activation that the standard has an operator for: what the nodes between
// x and y compute is worked out as a function (graph/passes/real_function.h) and recognised by what it is.

#include <cmath>

#include "graph/passes/activation.h"
#include "graph/passes/match.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

using Kind = PostOp::Kind;

ValueId AddScalar(Graph& graph, const PassContext& ctx, DataType type, const std::string& name,
                  double value) {
  return graph.AddConstant(name, FloatTensor(ctx, type, {}, std::span(&value, 1)));
}

struct Canonical {
  const char* name = nullptr;
  int opset = 0;
};

// The standard operator for a post-op; no name: there is none.
Canonical OperatorFor(const PostOp& op) {
  switch (op.kind) {
    case Kind::kLeakyRelu:
      return {"LeakyRelu", 16};
    case Kind::kRelu:
      return {"Relu", 14};
    case Kind::kClip:
      return {"Clip", 13};
    case Kind::kSigmoid:
      return {"Sigmoid", 13};
    case Kind::kSilu:
      return {"Swish", 24};
    case Kind::kHardSigmoid:
      return {"HardSigmoid", 22};
    case Kind::kHardSwish:
      if (std::abs(op.alpha - 1.0f / 6) > 1e-6f || op.beta != 0.5f) return {};
      return {"HardSwish", 14};
    case Kind::kTanh:
      return {"Tanh", 13};
    case Kind::kElu:
      return {"Elu", 22};
    case Kind::kMish:
      return {"Mish", 18};
    case Kind::kGeluErf:
    case Kind::kGeluTanh:
      return {"Gelu", 20};
    case Kind::kAbs:
      return {"Abs", 13};
    case Kind::kExp:
      return {"Exp", 13};
    case Kind::kLinear:
      if (op.beta == 0) return {"Mul", 14};
      if (op.alpha == 1) return {"Add", 14};
      return {};
    default:
      return {};
  }
}

Node MakeNode(Graph& graph, const PassContext& ctx, ValueId x, const PostOp& op, const std::string& name) {
  const Canonical canonical = OperatorFor(op);
  const DataType type = graph.value(x).type.dtype;
  Node node = MakeOp(canonical.name, canonical.opset, {x});
  const auto operand = [&](const char* suffix, float value) {
    node.inputs.push_back(std::isinf(value)
                              ? ValueId::kNone
                              : AddScalar(graph, ctx, type, name + suffix, static_cast<double>(value)));
  };
  switch (op.kind) {
    case Kind::kLeakyRelu:
    case Kind::kElu:
    case Kind::kSilu:
      node.attrs.Set("alpha", op.alpha);
      break;
    case Kind::kHardSigmoid:
      node.attrs.Set("alpha", op.alpha);
      node.attrs.Set("beta", op.beta);
      break;
    case Kind::kGeluTanh:
      node.attrs.Set("approximate", std::string("tanh"));
      break;
    case Kind::kClip:
      operand("/min", op.alpha);
      operand("/max", op.beta);
      break;
    case Kind::kLinear:
      operand("/operand", op.beta == 0 ? op.alpha : op.beta);
      break;
    default:
      break;
  }
  return node;
}

bool Wanted(const Graph& graph, const Activation& found) {
  if (found.ops.empty()) return true;
  if (found.ops.size() > 1) return false;
  const Canonical canonical = OperatorFor(found.ops[0]);
  if (canonical.name == nullptr || !HasOp(canonical.name, canonical.opset)) return false;
  if (found.nodes.size() > 1) return true;
  // A single node is already what the standard calls it, or a plain sum or product.
  return found.ops[0].kind != Kind::kLinear && graph.node(found.nodes[0]).op_type != canonical.name;
}

bool Replace(Graph& graph, ValueId x, PassContext& ctx) {
  const auto found = FindActivation(graph, ctx, x, [&](const Activation& a) { return Wanted(graph, a); });
  if (!found) return false;
  const NodeId last = graph.value(found->result).producer;
  if (found->ops.empty()) {
    ctx.Applied(graph, graph.node(last),
                std::to_string(found->nodes.size()) + " nodes give back their input");
    Bypass(graph, last, x);
    return true;
  }
  std::string text = ToString(found->ops[0]) + " in place of ";
  for (size_t i = found->nodes.size(); i-- > 0;)
    text += graph.node(found->nodes[i]).op_type + (i == 0 ? "" : ", ");
  ctx.Applied(graph, graph.node(last), std::move(text));
  ReplaceNode(graph, last, MakeNode(graph, ctx, x, found->ops[0], graph.value(found->result).name));
  return true;
}

bool Run(Graph& graph, PassContext& ctx) {
  bool changed = false;
  const std::vector<ValueId> inputs = graph.inputs;
  for (ValueId input : inputs) changed |= Replace(graph, input, ctx);
  for (NodeId id : graph.TopologicalOrder()) {
    if (!graph.alive(id)) continue;
    const std::vector<ValueId> outputs = graph.node(id).outputs;
    for (ValueId output : outputs) {
      if (output != ValueId::kNone && graph.alive(id)) changed |= Replace(graph, output, ctx);
    }
  }
  return changed;
}

}  // namespace

const Pass kFindActivations = {"find-activations", "recognises activations, however they are spelled", Run};

}  // namespace sluice
