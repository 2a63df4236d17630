#include "graph/passes/match.h"

#include <algorithm>

#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

// oneDNN takes at most 32 steps, of which one of ours may need two; longer chains gain nothing more.
constexpr size_t kMaxPostOps = 12;

}  // namespace

bool IsOp(const Node& node, std::string_view op_type) {
  return node.op_type == op_type && node.domain.empty() && node.op != nullptr && node.post_ops.empty();
}

const Node* ProducerOp(const Graph& graph, ValueId value, std::string_view op_type) {
  if (value == ValueId::kNone) return nullptr;
  const NodeId id = graph.value(value).producer;
  if (id == NodeId::kNone) return nullptr;
  const Node& node = graph.node(id);
  return IsOp(node, op_type) && node.outputs[0] == value ? &node : nullptr;
}

NodeId ExclusiveProducer(const Graph& graph, ValueId value) {
  if (value == ValueId::kNone || graph.SingleUser(value) == NodeId::kNone) return NodeId::kNone;
  return graph.value(value).producer;
}

ValueId InputOf(const Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : ValueId::kNone;
}

std::string ResultName(const Graph& graph, const Node& node) {
  for (ValueId output : node.outputs) {
    if (output != ValueId::kNone) return graph.value(output).name;
  }
  return {};
}

bool OnlyFirstOutputUsed(const Graph& graph, const Node& node) {
  for (size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == ValueId::kNone) continue;
    if (!graph.value(node.outputs[i]).users.empty() || graph.IsOutput(node.outputs[i])) return false;
  }
  return true;
}

bool TakesPostOps(const Graph& graph, const Node& node) {
  if (node.op == nullptr || !node.op->takes_post_ops || node.captures > 0 ||
      node.post_ops.size() >= kMaxPostOps) {
    return false;
  }
  if (node.outputs.empty() || node.outputs[0] == ValueId::kNone || !OnlyFirstOutputUsed(graph, node))
    return false;
  const DataType type = graph.value(node.outputs[0]).type.dtype;
  // Post-ops keep their numbers as float.
  return IsFloatType(type) && type != DataType::kDouble;
}

std::optional<std::vector<int64_t>> ConstantInts(const Graph& graph, ValueId value) {
  if (!graph.IsConstant(value)) return std::nullopt;
  const Tensor& tensor = graph.value(value).constant;
  const auto read = [](auto values) { return std::vector<int64_t>(values.begin(), values.end()); };
  if (tensor.dtype() == DataType::kInt64) return read(tensor.values<int64_t>());
  if (tensor.dtype() == DataType::kInt32) return read(tensor.values<int32_t>());
  return std::nullopt;
}

std::optional<std::vector<int64_t>> IntsOf(const Graph& graph, const Node& node, std::string_view attribute,
                                           size_t i) {
  if (node.attrs.Has(attribute)) return node.attrs.Ints(attribute);
  return ConstantInts(graph, InputOf(node, i));
}

bool IsFloatType(DataType type) {
  return type == DataType::kFloat || type == DataType::kDouble || type == DataType::kFloat16 ||
         type == DataType::kBFloat16;
}

std::optional<std::vector<double>> ConstantFloats(const Graph& graph, const PassContext& ctx, ValueId value) {
  if (!graph.IsConstant(value) || !IsFloatType(graph.value(value).constant.dtype())) return std::nullopt;
  const Tensor tensor = ConvertTensor(ctx, graph.value(value).constant, DataType::kDouble);
  if (tensor.empty()) return std::nullopt;
  const auto values = tensor.values<double>();
  return std::vector<double>(values.begin(), values.end());
}

std::optional<double> ConstantScalar(const Graph& graph, const PassContext& ctx, ValueId value) {
  if (!graph.IsConstant(value) || graph.value(value).constant.num_elements() != 1) return std::nullopt;
  const auto values = ConstantFloats(graph, ctx, value);
  if (!values) return std::nullopt;
  return (*values)[0];
}

std::optional<size_t> RankOf(const Graph& graph, ValueId value) {
  if (value == ValueId::kNone || !graph.value(value).type.has_shape) return std::nullopt;
  return graph.value(value).type.shape.size();
}

bool SameShape(const ValueType& a, const ValueType& b) {
  return a.has_shape && b.has_shape && a.shape == b.shape;
}

bool BroadcastsTo(const ValueType& from, const ValueType& to) {
  if (!from.has_shape || !to.has_shape || from.shape.size() > to.shape.size()) return false;
  const size_t lead = to.shape.size() - from.shape.size();
  for (size_t i = 0; i < from.shape.size(); ++i) {
    if (!from.shape[i].is(1) && !(from.shape[i] == to.shape[lead + i])) return false;
  }
  return true;
}

std::optional<std::vector<double>> ConstantAlong(const Graph& graph, const PassContext& ctx, ValueId value,
                                                 size_t rank, size_t axis, int64_t size) {
  if (!graph.IsConstant(value)) return std::nullopt;
  const Shape& shape = graph.value(value).constant.shape();
  if (shape.size() > rank) return std::nullopt;
  const size_t lead = rank - shape.size();
  bool varies = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    if (lead + i != axis || shape[i] != size) return std::nullopt;
    varies = true;
  }
  auto values = ConstantFloats(graph, ctx, value);
  if (values && !varies) values->assign(static_cast<size_t>(size), (*values)[0]);
  return values;
}

}  // namespace sluice
