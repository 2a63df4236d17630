//   x --> Transpose(p) --> Relu --> y                       becomes        x --> Relu --> Transpose(p) --> y
//   a --> Transpose(p), b --> Transpose(p) --> Add --> y    becomes        a, b --> Add --> Transpose(p) -->
//   y
//
// for element-wise operators, Concat, Split, Pad, Softmax and reductions that keep their axes, so that
// Transposes meet and cancel (remove-no-ops), and activations meet what computes their input. Graphs that
// were converted from channels-last frameworks are full of them. Never makes their number grow.

#include <algorithm>
#include <map>
#include <set>

#include "graph/passes/match.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

using Ints = std::vector<int64_t>;

// Where an operator's attributes and inputs name axes.
enum class Axes { kNone, kAxis, kPads, kReduced };

const std::map<std::string_view, Axes>& Operators() {
  static const std::map<std::string_view, Axes> operators = [] {
    std::map<std::string_view, Axes> all;
    for (std::string_view name : {"Abs",
                                  "Add",
                                  "Cast",
                                  "Ceil",
                                  "Celu",
                                  "Clip",
                                  "Div",
                                  "Elu",
                                  "Equal",
                                  "Erf",
                                  "Exp",
                                  "Floor",
                                  "Gelu",
                                  "Greater",
                                  "GreaterOrEqual",
                                  "HardSigmoid",
                                  "HardSwish",
                                  "Identity",
                                  "LeakyRelu",
                                  "Less",
                                  "LessOrEqual",
                                  "Log",
                                  "Max",
                                  "Min",
                                  "Mish",
                                  "Mul",
                                  "Neg",
                                  "Not",
                                  "PRelu",
                                  "Pow",
                                  "Reciprocal",
                                  "Relu",
                                  "Round",
                                  "Selu",
                                  "Sigmoid",
                                  "Sign",
                                  "Softplus",
                                  "Softsign",
                                  "Sqrt",
                                  "Sub",
                                  "Sum",
                                  "Swish",
                                  "Tanh",
                                  "ThresholdedRelu",
                                  "Where"}) {
      all[name] = Axes::kNone;
    }
    for (std::string_view name : {"Concat", "Split", "Softmax", "LogSoftmax"}) all[name] = Axes::kAxis;
    for (std::string_view name : {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"})
      all[name] = Axes::kReduced;
    all["Pad"] = Axes::kPads;
    return all;
  }();
  return operators;
}

Ints InverseOf(const Ints& perm) {
  Ints inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  return inverse;
}

class Sinker {
 public:
  Sinker(Graph& graph, PassContext& ctx) : graph_(graph), ctx_(ctx) {}

  bool Sink(NodeId id) {
    Node& node = graph_.node(id);
    const auto known = Operators().find(node.op_type);
    if (known == Operators().end() || !IsOp(node, node.op_type) || !FindPermutation(node)) return false;
    if (known->second == Axes::kNone && node.attrs.Has("axis")) return false;  // an old rule of broadcasting
    // Everything is worked out before anything is edited.
    std::vector<std::pair<size_t, ValueId>> inputs;
    std::map<std::string, Attribute> attrs;
    bool fits = false;
    switch (known->second) {
      case Axes::kNone:
        fits = MapOperands(node, node.inputs.size(), inputs);
        break;
      case Axes::kAxis:
        fits = MapAxis(node, inputs, attrs);
        break;
      case Axes::kReduced:
        fits = MapReducedAxes(node, inputs, attrs);
        break;
      case Axes::kPads:
        fits = MapPads(node, inputs, attrs);
        break;
    }
    if (!fits) return false;
    ctx_.Applied(graph_, node, "computed before the Transpose of its input");
    std::vector<NodeId> transposes;
    for (const auto& [i, value] : inputs) {
      transposes.push_back(graph_.value(node.inputs[i]).producer);
      graph_.SetInput(id, i, value);
    }
    for (auto& [name, value] : attrs) node.attrs.Set(name, std::move(value));
    for (NodeId transpose : transposes) {
      if (transpose != NodeId::kNone) RemoveUnused(graph_, transpose);
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) TransposeOutput(id, i);
    return true;
  }

 private:
  // The one permutation of all Transposes in front of the node.
  bool FindPermutation(const Node& node) {
    perm_.clear();
    for (ValueId input : node.inputs) {
      const Node* transpose = ProducerOp(graph_, input, "Transpose");
      if (transpose == nullptr) continue;
      if (!transpose->attrs.Has("perm")) return false;
      const Ints& perm = transpose->attrs.Ints("perm");
      if (!perm_.empty() && perm != perm_) return false;
      perm_ = perm;
    }
    return !perm_.empty();
  }

  // The first `count` inputs without their Transposes; constants are transposed back.
  bool MapOperands(const Node& node, size_t count, std::vector<std::pair<size_t, ValueId>>& mapped) {
    for (size_t i = 0; i < count; ++i) {
      const ValueId input = node.inputs[i];
      if (input == ValueId::kNone) continue;
      if (const Node* transpose = ProducerOp(graph_, input, "Transpose")) {
        const auto& users = graph_.value(input).users;
        const bool only_here =
            std::all_of(users.begin(), users.end(), [&](NodeId user) { return &graph_.node(user) == &node; });
        if (!only_here || graph_.IsOutput(input)) return false;
        mapped.emplace_back(i, transpose->inputs[0]);
        continue;
      }
      if (!graph_.IsConstant(input)) return false;
      const Tensor& constant = graph_.value(input).constant;
      if (constant.num_elements() == 1 && constant.rank() <= static_cast<int64_t>(perm_.size())) continue;
      const ValueId back = TransposedBack(input);
      if (back == ValueId::kNone) return false;
      mapped.emplace_back(i, back);
    }
    return true;
  }

  ValueId TransposedBack(ValueId constant) {
    const Tensor& tensor = graph_.value(constant).constant;
    if (tensor.rank() > static_cast<int64_t>(perm_.size())) return ValueId::kNone;
    Shape shape(perm_.size() - tensor.shape().size(), 1);
    shape.insert(shape.end(), tensor.shape().begin(), tensor.shape().end());
    Node transpose = MakeOp("Transpose", 13, {static_cast<ValueId>(0)}, {{"perm", InverseOf(perm_)}});
    transpose.outputs = {static_cast<ValueId>(1)};
    const Value input(tensor.Reshaped(shape));
    const std::vector<Value> results = ctx_.evaluate(transpose, std::span(&input, 1));
    if (results.size() != 1 || !results[0].is_tensor()) return ValueId::kNone;
    return graph_.AddConstant(graph_.value(constant).name + "/transposed", results[0].tensor());
  }

  // Axis of the transposed tensor, in terms of the original. False: out of range.
  bool MapOne(int64_t& axis) const {
    const auto rank = static_cast<int64_t>(perm_.size());
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return false;
    axis = perm_[static_cast<size_t>(axis)];
    return true;
  }

  bool MapAxis(const Node& node, std::vector<std::pair<size_t, ValueId>>& inputs,
               std::map<std::string, Attribute>& attrs) {
    const bool softmax = node.op_type.ends_with("Softmax");
    if (softmax && node.since_version < 13) return false;  // normalises all axes from there on
    int64_t axis =
        softmax ? node.attrs.Int("axis", -1) : node.attrs.Int("axis", node.op_type == "Concat" ? 1 : 0);
    if (!MapOne(axis)) return false;
    attrs["axis"] = axis;
    return MapOperands(node, node.op_type == "Split" ? 1 : node.inputs.size(), inputs);
  }

  ValueId AddInts(const std::string& name, const Ints& values) {
    return graph_.AddConstant(
        name, Tensor::From<int64_t>({static_cast<int64_t>(values.size())}, std::span<const int64_t>(values)));
  }

  bool MapReducedAxes(const Node& node, std::vector<std::pair<size_t, ValueId>>& inputs,
                      std::map<std::string, Attribute>& attrs) {
    if (node.attrs.Int("keepdims", 1) != 1) return false;
    auto axes = IntsOf(graph_, node, "axes", 1);
    if (!axes) return false;
    for (int64_t& axis : *axes) {
      if (!MapOne(axis)) return false;
    }
    if (!MapOperands(node, 1, inputs)) return false;
    std::sort(axes->begin(), axes->end());
    if (node.attrs.Has("axes"))
      attrs["axes"] = *axes;
    else
      inputs.emplace_back(1, AddInts(graph_.value(node.inputs[1]).name, *axes));
    return true;
  }

  bool MapPads(const Node& node, std::vector<std::pair<size_t, ValueId>>& inputs,
               std::map<std::string, Attribute>& attrs) {
    const auto pads = IntsOf(graph_, node, "pads", 1);
    const size_t rank = perm_.size();
    if (!pads || pads->size() != 2 * rank || InputOf(node, 3) != ValueId::kNone) return false;
    Ints mapped(2 * rank);
    for (size_t i = 0; i < rank; ++i) {
      mapped[static_cast<size_t>(perm_[i])] = (*pads)[i];
      mapped[rank + static_cast<size_t>(perm_[i])] = (*pads)[rank + i];
    }
    if (!MapOperands(node, 1, inputs)) return false;
    if (node.attrs.Has("pads"))
      attrs["pads"] = mapped;
    else
      inputs.emplace_back(1, AddInts(graph_.value(node.inputs[1]).name, mapped));
    return true;
  }

  // The node's users read its output through a Transpose from now on.
  void TransposeOutput(NodeId id, size_t i) {
    const ValueId old = graph_.node(id).outputs[i];
    if (old == ValueId::kNone) return;
    ValueType type = graph_.value(old).type;
    if (type.has_shape && type.shape.size() == perm_.size()) {
      SymShape shape(perm_.size());
      for (size_t axis = 0; axis < perm_.size(); ++axis)
        shape[static_cast<size_t>(perm_[axis])] = type.shape[axis];
      type.shape = std::move(shape);
    } else {
      type.has_shape = false;
    }
    const ValueId plain = graph_.AddValue(graph_.value(old).name + "/plain", std::move(type));
    graph_.SetOutput(id, i, plain);
    Node transpose = MakeOp("Transpose", 13, {plain}, {{"perm", perm_}});
    transpose.outputs = {old};
    graph_.AddNode(std::move(transpose));
  }

  Graph& graph_;
  PassContext& ctx_;
  Ints perm_;
};

bool Run(Graph& graph, PassContext& ctx) {
  if (!ctx.evaluate) return false;
  Sinker sinker(graph, ctx);
  bool changed = false;
  for (NodeId id : graph.TopologicalOrder()) changed |= graph.alive(id) && sinker.Sink(id);
  return changed;
}

}  // namespace

const Pass kSinkTransposes = {"sink-transposes", "moves Transposes behind what does not mind them", Run};

}  // namespace sluice
