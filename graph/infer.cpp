#include "graph/infer.h"

#include <algorithm>

#include "graph/operator.h"
#include "graph/place.h"
#include "sluice/error.h"

namespace sluice {
namespace {

int NumPlainInputs(const Node& node) {
  int count = static_cast<int>(node.inputs.size()) - node.captures;
  for (const PostOp& op : node.post_ops) {
    if (op.operand >= 0) count = std::min(count, op.operand);
  }
  return count;
}

void CheckArity(const Node& node, int num_inputs) {
  const Operator& op = *node.op;
  const auto fail = [&](const char* what, int min, int max, int got) {
    const std::string limit = min == max               ? std::to_string(min)
                              : max == Operator::kMany ? "at least " + std::to_string(min)
                                                       : std::to_string(min) + " to " + std::to_string(max);
    throw Error(ErrorCode::kInvalidModel,
                Describe(node) + ": expected " + limit + " " + what + ", found " + std::to_string(got));
  };
  if (num_inputs < op.min_inputs || num_inputs > op.max_inputs) {
    fail("inputs", op.min_inputs, op.max_inputs, num_inputs);
  }
  const int num_outputs = static_cast<int>(node.outputs.size());
  if (num_outputs < op.min_outputs || num_outputs > op.max_outputs) {
    fail("outputs", op.min_outputs, op.max_outputs, num_outputs);
  }
}

// Keeps what is stated where inference knows less; throws where both know and differ.
ValueType Merge(const Graph& graph, const GraphValue& value, const ValueType& inferred) {
  const ValueType& stated = value.type;
  const auto fail = [&] {
    const Node* node = value.producer == NodeId::kNone ? nullptr : &graph.node(value.producer);
    throw Error(ErrorCode::kInvalidModel, (node ? Describe(*node) + ": " : "") + "value '" + value.name +
                                              "' is stated as " + ToString(stated) + ", computed as " +
                                              ToString(inferred));
  };
  ValueType merged = inferred;
  if (inferred.dtype == DataType::kUndefined) {
    merged.dtype = stated.dtype;
    merged.kind = stated.kind;
  } else if (stated.dtype != DataType::kUndefined && stated.dtype != inferred.dtype) {
    fail();
  }
  if (!inferred.has_shape) {
    merged.has_shape = stated.has_shape;
    merged.shape = stated.shape;
    return merged;
  }
  if (!stated.has_shape) return merged;
  // A stated rank or size that the operators contradict is common in exported files: what is
  // computed is right, the statement is dropped.
  if (stated.shape.size() != inferred.shape.size()) return merged;
  for (size_t i = 0; i < merged.shape.size(); ++i) {
    if (!merged.shape[i].known() && (stated.shape[i].known() || merged.shape[i].symbol().empty())) {
      merged.shape[i] = stated.shape[i];
    }
  }
  return merged;
}

}  // namespace

InferContext::InferContext(const Node& node, std::vector<const ValueType*> inputs,
                           std::vector<const Tensor*> constants)
    : node_(node),
      num_inputs_(NumPlainInputs(node)),
      inputs_(std::move(inputs)),
      constants_(std::move(constants)),
      outputs_(node.outputs.size()) {}

const ValueType& InferContext::input(int i) const {
  if (!has_input(i)) Fail("input " + std::to_string(i) + " is missing");
  return *inputs_[i];
}

std::optional<std::vector<int64_t>> InferContext::ConstantInts(int i) const {
  const Tensor* tensor = constant(i);
  if (tensor == nullptr) return std::nullopt;
  if (tensor->dtype() == DataType::kInt64) {
    const auto values = tensor->values<int64_t>();
    return std::vector<int64_t>(values.begin(), values.end());
  }
  if (tensor->dtype() == DataType::kInt32) {
    const auto values = tensor->values<int32_t>();
    return std::vector<int64_t>(values.begin(), values.end());
  }
  Fail("input " + std::to_string(i) + " is " + std::string(DataTypeName(tensor->dtype())) +
       ", expected int64 or int32");
}

std::vector<ValueType> InferContext::captures() const {
  std::vector<ValueType> types;
  for (size_t i = inputs_.size() - static_cast<size_t>(node_.captures); i < inputs_.size(); ++i) {
    types.push_back(inputs_[i] ? *inputs_[i] : ValueType());
  }
  return types;
}

void InferContext::SetOutput(int i, DataType dtype, SymShape shape) {
  SetOutput(i, ValueType::Of(dtype, std::move(shape)));
}

void InferContext::SetOutput(int i, ValueType type) {
  if (i < num_outputs()) outputs_[i] = std::move(type);
}

void InferContext::SetUnknownShape(int i, DataType dtype) {
  SetOutput(i, ValueType{dtype, ValueType::Kind::kTensor, false, {}});
}

int64_t InferContext::Axis(int64_t axis, int64_t rank) const {
  if (axis < -rank || axis >= rank) {
    Fail("axis " + std::to_string(axis) + " is outside [-" + std::to_string(rank) + ", " +
         std::to_string(rank) + ")");
  }
  return axis < 0 ? axis + rank : axis;
}

SymShape InferContext::Broadcast(const SymShape& a, const SymShape& b) const {
  const SymShape& longer = a.size() >= b.size() ? a : b;
  const SymShape& shorter = a.size() >= b.size() ? b : a;
  SymShape result = longer;
  const size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    Dim& dim = result[offset + i];
    const Dim& other = shorter[i];
    if (dim.is(1))
      dim = other;
    else if (other.is(1) || dim == other)
      continue;
    else if (!dim.known() && other.known())
      dim = other;  // must be it or 1
    else if (!dim.known())
      dim = Dim();
    else if (other.known())
      Fail("shapes " + ToString(a) + " and " + ToString(b) + " do not broadcast");
  }
  return result;
}

void InferContext::Fail(const std::string& message) const {
  throw Error(ErrorCode::kInvalidModel, Describe(node_) + ": " + message);
}

void InferSameAsFirst(InferContext& ctx) { ctx.SetOutput(0, ctx.input(0)); }

namespace {

SymShape BroadcastAll(const InferContext& ctx) {
  SymShape shape = ctx.shape(0);
  for (int i = 1; i < ctx.num_inputs(); ++i) shape = ctx.Broadcast(shape, ctx.shape(i));
  return shape;
}

}  // namespace

void InferBroadcast(InferContext& ctx) { ctx.SetOutput(0, ctx.dtype(0), BroadcastAll(ctx)); }
void InferBroadcastBool(InferContext& ctx) { ctx.SetOutput(0, DataType::kBool, BroadcastAll(ctx)); }

std::vector<ValueType> InferNode(const Node& node, std::vector<const ValueType*> inputs,
                                 std::vector<const Tensor*> constants) {
  const int num_inputs = NumPlainInputs(node);
  CheckArity(node, num_inputs);
  for (int i = 0; i < num_inputs; ++i) {
    if (inputs[i] == nullptr || inputs[i]->kind != ValueType::Kind::kTensor) continue;
    if (inputs[i]->dtype == DataType::kUndefined || !inputs[i]->has_shape) {
      return std::vector<ValueType>(node.outputs.size());
    }
  }
  for (int i = 0; i < node.op->min_inputs; ++i) {
    if (inputs[i] == nullptr)
      throw Error(ErrorCode::kInvalidModel, Describe(node) + ": input " + std::to_string(i) + " is missing");
  }
  InferContext ctx(node, std::move(inputs), std::move(constants));
  try {
    node.op->infer(ctx);
  } catch (const Error& error) {
    RethrowAt(Describe(node), error);  // dims and attributes do not know their node
  }
  return ctx.outputs();
}

void InferShapes(Graph& graph) {
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    if (node.op == nullptr) continue;
    std::vector<const ValueType*> types;
    std::vector<const Tensor*> constants;
    for (ValueId input : node.inputs) {
      types.push_back(input == ValueId::kNone ? nullptr : &graph.value(input).type);
      constants.push_back(graph.IsConstant(input) ? &graph.value(input).constant : nullptr);
    }
    const std::vector<ValueType> outputs = InferNode(node, std::move(types), std::move(constants));
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == ValueId::kNone) continue;
      GraphValue& value = graph.value(node.outputs[i]);
      value.type = Merge(graph, value, outputs[i]);
    }
  }
}

}  // namespace sluice
