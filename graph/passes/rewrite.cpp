#include "graph/passes/rewrite.h"

#include <algorithm>

#include "graph/infer.h"
#include "graph/operator.h"
#include "sluice/error.h"

namespace sluice {

Tensor ConvertTensor(const PassContext& ctx, const Tensor& tensor, DataType type) {
  if (tensor.dtype() == type) return tensor;
  const auto copy = [&](auto from, auto to) { std::copy(from.begin(), from.end(), to.begin()); };
  if (tensor.dtype() == DataType::kFloat && type == DataType::kDouble) {
    Tensor result(type, tensor.shape());
    copy(tensor.values<float>(), result.mutable_values<double>());
    return result;
  }
  if (tensor.dtype() == DataType::kDouble && type == DataType::kFloat) {
    Tensor result(type, tensor.shape());
    std::transform(tensor.values<double>().begin(), tensor.values<double>().end(),
                   result.mutable_values<float>().begin(),
                   [](double value) { return static_cast<float>(value); });
    return result;
  }
  constexpr int kOpset = 13;
  if (!ctx.evaluate || !HasOp("Cast", kOpset)) return {};
  Node cast = MakeOp("Cast", kOpset, {static_cast<ValueId>(0)}, {{"to", static_cast<int64_t>(type)}});
  cast.outputs = {static_cast<ValueId>(1)};
  const Value input(tensor);
  std::vector<Value> results = ctx.evaluate(cast, std::span(&input, 1));
  return results.size() == 1 && results[0].is_tensor() ? results[0].tensor() : Tensor();
}

Tensor FloatTensor(const PassContext& ctx, DataType type, Shape shape, std::span<const double> values) {
  return ConvertTensor(ctx, Tensor::From<double>(shape, values), type);
}

bool HasOp(std::string_view op_type, int opset) { return FindOperator("", op_type, opset).op != nullptr; }

Node MakeOp(std::string_view op_type, int opset, std::vector<ValueId> inputs,
            std::map<std::string, Attribute> attrs) {
  const ResolvedOperator found = FindOperator("", op_type, opset);
  if (found.op == nullptr) {
    throw Error(ErrorCode::kInternal,
                "no definition of " + std::string(op_type) + " at opset " + std::to_string(opset));
  }
  Node node;
  node.op_type = op_type;
  node.op = found.op;
  node.since_version = found.since_version;
  node.inputs = std::move(inputs);
  for (auto& [name, value] : attrs) node.attrs.Set(name, std::move(value));
  return node;
}

ValueType InferredType(const Graph& graph, const Node& node) {
  std::vector<const ValueType*> types;
  std::vector<const Tensor*> constants;
  for (ValueId input : node.inputs) {
    types.push_back(input == ValueId::kNone ? nullptr : &graph.value(input).type);
    constants.push_back(graph.IsConstant(input) ? &graph.value(input).constant : nullptr);
  }
  return InferNode(node, std::move(types), std::move(constants))[0];
}

ValueId AddOp(Graph& graph, Node node, std::string name) {
  const ValueId output = graph.AddValue(std::move(name));
  node.outputs = {output};
  graph.value(output).type = InferredType(graph, node);
  graph.AddNode(std::move(node));
  return output;
}

NodeId ReplaceNode(Graph& graph, NodeId old, Node node) {
  const ValueId old_output = graph.node(old).outputs[0];
  node.name = graph.node(old).name;
  const ValueType stated = graph.value(old_output).type;
  const ValueId output = AddOp(graph, std::move(node), graph.value(old_output).name);
  // The old type may know more, through sizes that the model states.
  if (stated.has_shape) graph.value(output).type = stated;
  const NodeId added = graph.value(output).producer;
  Bypass(graph, old, output);
  return added;
}

void Bypass(Graph& graph, NodeId id, ValueId value) {
  graph.ReplaceUses(graph.node(id).outputs[0], value);
  RemoveUnused(graph, id);
}

void Absorb(Graph& graph, NodeId id, ValueId value) {
  graph.value(value).name = graph.value(graph.node(id).outputs[0]).name;
  Bypass(graph, id, value);
}

void RemoveUnused(Graph& graph, NodeId id) {
  std::vector<NodeId> doubtful = {id};
  while (!doubtful.empty()) {
    const NodeId next = doubtful.back();
    doubtful.pop_back();
    if (!graph.alive(next)) continue;
    const Node& node = graph.node(next);
    const bool used = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
      return output != ValueId::kNone && (!graph.value(output).users.empty() || graph.IsOutput(output));
    });
    if (used) continue;
    for (ValueId input : node.inputs) {
      if (input != ValueId::kNone && graph.value(input).producer != NodeId::kNone) {
        doubtful.push_back(graph.value(input).producer);
      }
    }
    graph.RemoveNode(next);
  }
}

void SetOptionalInput(Graph& graph, NodeId id, size_t i, ValueId value) {
  while (graph.node(id).inputs.size() <= i) graph.AddInput(id, ValueId::kNone);
  graph.SetInput(id, i, value);
}

}  // namespace sluice
