#include <cmath>
#include <map>
#include <utility>

#include "graph/builder.h"
#include "graph/export.h"
#include "graph/operator.h"

namespace sluice {
namespace {

using Kind = PostOp::Kind;

// A number of the type that the chain computes in. What is not float is cast from it, since the elements of
// other types are out of reach here.
ValueId Number(GraphBuilder& b, DataType type, const char* what, float value) {
  const ValueId number = b.Scalar(what, value);
  if (type == DataType::kFloat || type == DataType::kUndefined) return number;
  return b.Op("Cast", {number}, {{"to", static_cast<int64_t>(type)}});
}
DataType TypeOf(GraphBuilder& b, ValueId x) { return b.graph().value(x).type.dtype; }

ValueId Typed(GraphBuilder& b, ValueId x, ValueId result) {
  b.graph().value(result).type = b.graph().value(x).type;
  return result;
}
ValueId Times(GraphBuilder& b, ValueId x, float factor) {
  if (factor == 1.0f) return x;
  return Typed(b, x, b.Op("Mul", {x, Number(b, TypeOf(b, x), "factor", factor)}));
}
ValueId Plus(GraphBuilder& b, ValueId x, float term) {
  if (term == 0.0f) return x;
  return Typed(b, x, b.Op("Add", {x, Number(b, TypeOf(b, x), "term", term)}));
}
ValueId Clip(GraphBuilder& b, ValueId x, float low, float high) {
  if (b.opset() < 11) return b.Clip(x, low, high);
  const auto bound = [&](const char* what, float value) {
    return std::isinf(value) ? ValueId::kNone : Number(b, TypeOf(b, x), what, value);
  };
  return b.Op("Clip", {x, bound("low", low), bound("high", high)});
}
// min(max(alpha * x + beta, 0), 1)
ValueId HardSigmoid(GraphBuilder& b, ValueId x, const PostOp& op) {
  return b.Op("HardSigmoid", {x}, {{"alpha", op.alpha}, {"beta", op.beta}});
}

ValueId Gelu(GraphBuilder& b, ValueId x, bool tanh) {
  if (b.opset() >= 20) return b.Op("Gelu", {x}, {{"approximate", std::string(tanh ? "tanh" : "none")}});
  const ValueId half = Times(b, x, 0.5f);
  if (!tanh) {
    const ValueId erf = Typed(b, x, b.Op("Erf", {Times(b, x, static_cast<float>(std::sqrt(0.5)))}));
    return b.Op("Mul", {half, Plus(b, erf, 1.0f)});
  }
  const ValueId cube = Typed(b, x, b.Op("Mul", {b.Op("Mul", {x, x}), x}));
  const ValueId sum = Typed(b, x, b.Op("Add", {x, Times(b, cube, 0.044715f)}));
  const ValueId inner = Times(b, sum, static_cast<float>(std::sqrt(2 / M_PI)));
  return b.Op("Mul", {half, Plus(b, Typed(b, x, b.Op("Tanh", {inner})), 1.0f)});
}

ValueId Unfuse(GraphBuilder& b, ValueId x, const PostOp& op, ValueId operand) {
  switch (op.kind) {
    case Kind::kLeakyRelu:
      return b.Op("LeakyRelu", {x}, {{"alpha", op.alpha}});
    case Kind::kRelu:
      return b.Op("Relu", {x});
    case Kind::kClip:
      return Clip(b, x, op.alpha, op.beta);
    case Kind::kSigmoid:
      return b.Op("Sigmoid", {x});
    case Kind::kSilu:
      return b.Op("Mul", {x, b.Op("Sigmoid", {Times(b, x, op.alpha)})});
    case Kind::kHardSigmoid:
      return HardSigmoid(b, x, op);
    case Kind::kHardSwish:
      return b.Op("Mul", {x, HardSigmoid(b, x, op)});
    case Kind::kTanh:
      return b.Op("Tanh", {x});
    case Kind::kElu:
      return b.Op("Elu", {x}, {{"alpha", op.alpha}});
    case Kind::kMish:
      return b.Op("Mul", {x, b.Op("Tanh", {b.Op("Softplus", {x})})});
    case Kind::kGeluErf:
      return Gelu(b, x, false);
    case Kind::kGeluTanh:
      return Gelu(b, x, true);
    case Kind::kLinear:
      return Plus(b, Times(b, x, op.alpha), op.beta);
    case Kind::kAbs:
      return b.Op("Abs", {x});
    case Kind::kExp:
      return b.Op("Exp", {x});
    case Kind::kSqrt:
      return b.Op("Sqrt", {x});
    case Kind::kSquare:
      return b.Op("Mul", {x, x});
    case Kind::kPRelu:
      return b.Op("PRelu", {x, operand});
    case Kind::kAdd:
      return b.Op("Add", {x, operand});
    case Kind::kMul:
      return b.Op("Mul", {x, operand});
  }
  return x;
}

void UnfuseGraph(Graph& graph, int64_t opset) {
  GraphBuilder b(graph, opset);
  const size_t count = graph.num_node_ids();
  for (size_t i = 0; i < count; ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!graph.alive(id)) continue;
    for (const auto& [name, attribute] : graph.node(id).attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute)) UnfuseGraph(**nested, opset);
    }
    if (graph.node(id).post_ops.empty()) continue;
    const std::vector<PostOp> post_ops = std::exchange(graph.node(id).post_ops, {});
    std::vector<ValueId> operands;
    int first_operand = static_cast<int>(graph.node(id).inputs.size());
    for (const PostOp& op : post_ops) {
      operands.push_back(op.operand < 0 ? ValueId::kNone
                                        : graph.node(id).inputs[static_cast<size_t>(op.operand)]);
      if (op.operand >= 0) first_operand = std::min(first_operand, op.operand);
    }
    // The node keeps what it computes itself; its value's name stays with the end of the chain.
    const ValueId last = graph.node(id).outputs[0];
    b.SetPrefix(graph.node(id).name);
    const ValueId first = graph.AddValue(graph.value(last).name + "/before", graph.value(last).type);
    graph.SetOutput(id, 0, first);
    for (size_t j = static_cast<size_t>(first_operand); j < graph.node(id).inputs.size(); ++j) {
      graph.SetInput(id, j, ValueId::kNone);
    }
    graph.node(id).inputs.resize(static_cast<size_t>(first_operand));
    ValueId x = first;
    for (size_t j = 0; j < post_ops.size(); ++j) x = Typed(b, first, Unfuse(b, x, post_ops[j], operands[j]));
    const NodeId end = graph.value(x).producer;
    graph.SetOutput(end, 0, last);
  }
}

}  // namespace

void UnfusePostOps(Graph& graph, int64_t opset) {
  const std::map<std::string, int64_t> stated = graph.opsets;
  UnfuseGraph(graph, opset);
  graph.opsets = stated;
}

}  // namespace sluice
