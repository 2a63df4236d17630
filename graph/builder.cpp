#include "graph/builder.h"

#include "graph/operator.h"
#include "sluice/error.h"

namespace sluice {

GraphBuilder::GraphBuilder(Graph& graph, int64_t opset) : graph_(graph), opset_(opset) {
  graph_.opsets[""] = opset;
}

std::string GraphBuilder::UniqueName(const std::string& what) {
  const std::string name = prefix_.empty() ? what : prefix_ + "/" + what;
  const int count = ++taken_[name];
  return count == 1 ? name : name + ":" + std::to_string(count);
}

std::vector<ValueId> GraphBuilder::Ops(const std::string& type, std::vector<ValueId> inputs, int outputs,
                                       Attrs attrs) {
  Node node;
  node.op_type = type;
  node.name = UniqueName(type);
  const ResolvedOperator found = FindOperator("", type, opset_);
  if (found.op == nullptr) {
    throw Error(ErrorCode::kUnsupported, "'" + prefix_ + "' needs " + type + ", which opset " +
                                             std::to_string(opset_) + " does not have");
  }
  node.op = found.op;
  node.since_version = found.since_version;
  node.inputs = std::move(inputs);
  while (!node.inputs.empty() && node.inputs.back() == ValueId::kNone) node.inputs.pop_back();
  for (auto& [name, value] : attrs) node.attrs.Set(std::move(name), std::move(value));
  for (int i = 0; i < outputs; ++i) {
    std::string name = node.name;
    if (i > 0) name.append(".").append(std::to_string(i));
    node.outputs.push_back(graph_.AddValue(std::move(name)));
  }
  std::vector<ValueId> results = node.outputs;
  graph_.AddNode(std::move(node));
  return results;
}

ValueId GraphBuilder::Op(const std::string& type, std::vector<ValueId> inputs, Attrs attrs) {
  return Ops(type, std::move(inputs), 1, std::move(attrs))[0];
}

ValueId GraphBuilder::Constant(const std::string& what, Tensor tensor) {
  return graph_.AddConstant(UniqueName(what), std::move(tensor));
}

ValueId GraphBuilder::Floats(const std::string& what, std::vector<float> values) {
  return Constant(what, Tensor::From<float>({static_cast<int64_t>(values.size())}, values));
}

ValueId GraphBuilder::Scalar(const std::string& what, float value) {
  return Constant(what, Tensor::Scalar(value));
}

ValueId GraphBuilder::Ints(const std::string& what, std::vector<int64_t> values) {
  return Constant(what, Tensor::From<int64_t>({static_cast<int64_t>(values.size())}, values));
}

ValueId GraphBuilder::Clip(ValueId x, float low, float high) {
  if (opset_ < 11) return Op("Clip", {x}, {{"min", low}, {"max", high}});
  return Op("Clip", {x, Scalar("low", low), Scalar("high", high)});
}

ValueId GraphBuilder::Slice(ValueId x, std::vector<int64_t> starts, std::vector<int64_t> ends,
                            std::vector<int64_t> axes, std::vector<int64_t> steps) {
  if (opset_ >= 10) {
    return Op("Slice", {x, Ints("starts", std::move(starts)), Ints("ends", std::move(ends)),
                        Ints("axes", std::move(axes)),
                        steps.empty() ? ValueId::kNone : Ints("steps", std::move(steps))});
  }
  if (!steps.empty())
    throw Error(ErrorCode::kUnsupported, "'" + prefix_ + "' needs Slice with steps: opset 10 or newer");
  return Op("Slice", {x},
            {{"starts", std::move(starts)}, {"ends", std::move(ends)}, {"axes", std::move(axes)}});
}

std::vector<ValueId> GraphBuilder::Split(ValueId x, int64_t axis, std::vector<int64_t> sizes) {
  const int count = static_cast<int>(sizes.size());
  if (opset_ >= 13) return Ops("Split", {x, Ints("sizes", std::move(sizes))}, count, {{"axis", axis}});
  return Ops("Split", {x}, count, {{"axis", axis}, {"split", std::move(sizes)}});
}

ValueId GraphBuilder::Reduce(const std::string& type, ValueId x, std::vector<int64_t> axes, bool keepdims) {
  const int64_t keep = keepdims ? 1 : 0;
  const int64_t as_input = type == "ReduceSum" ? 13 : 18;
  if (opset_ >= as_input) return Op(type, {x, Ints("axes", std::move(axes))}, {{"keepdims", keep}});
  return Op(type, {x}, {{"axes", std::move(axes)}, {"keepdims", keep}});
}

ValueId GraphBuilder::Reshape(ValueId x, std::vector<int64_t> shape) {
  return Op("Reshape", {x, Ints("shape", std::move(shape))});
}

ValueId GraphBuilder::Transpose(ValueId x, std::vector<int64_t> perm) {
  return Op("Transpose", {x}, {{"perm", std::move(perm)}});
}

ValueId GraphBuilder::Concat(std::vector<ValueId> parts, int64_t axis) {
  return Op("Concat", std::move(parts), {{"axis", axis}});
}

ValueId GraphBuilder::Unsqueeze(ValueId x, std::vector<int64_t> axes) {
  if (opset_ >= 13) return Op("Unsqueeze", {x, Ints("axes", std::move(axes))});
  return Op("Unsqueeze", {x}, {{"axes", std::move(axes)}});
}

ValueId GraphBuilder::Squeeze(ValueId x, std::vector<int64_t> axes) {
  if (opset_ >= 13) return Op("Squeeze", {x, Ints("axes", std::move(axes))});
  return Op("Squeeze", {x}, {{"axes", std::move(axes)}});
}

ValueId GraphBuilder::Pad(ValueId x, std::vector<int64_t> pads, float value) {
  if (opset_ >= 11) return Op("Pad", {x, Ints("pads", std::move(pads)), Scalar("value", value)});
  return Op("Pad", {x}, {{"pads", std::move(pads)}, {"value", value}});
}

}  // namespace sluice
