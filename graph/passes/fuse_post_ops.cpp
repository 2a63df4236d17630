//   x --> Conv --> LeakyRelu(0.1) --> y              becomes        x --> Conv + LeakyRelu(0.1) --> y
//   x --> Conv --> Add(z) --> Relu --> y             becomes        x, z --> Conv + Add + Relu --> y
//
// for every operator that takes post-ops and whose result nobody else needs: activations in any spelling,
// sums and products with numbers and tensors that broadcast to the result, PRelu, and BatchNormalization.

#include <algorithm>
#include <cmath>

#include "graph/passes/activation.h"
#include "graph/passes/match.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

using Kind = PostOp::Kind;

// Whether a step of the node costs more than reading and writing its result: there post-ops are free.
bool IsHeavy(const Node& node) {
  static constexpr std::string_view kHeavy[] = {"Conv", "ConvTranspose", "MatMul", "Gemm"};
  return node.domain.empty() &&
         std::find(std::begin(kHeavy), std::end(kHeavy), node.op_type) != std::end(kHeavy);
}

class Fuser {
 public:
  Fuser(Graph& graph, PassContext& ctx) : graph_(graph), ctx_(ctx) {}

  bool Run() {
    const std::vector<NodeId> order = graph_.TopologicalOrder();
    position_.assign(graph_.num_node_ids(), 0);
    for (size_t i = 0; i < order.size(); ++i) position_[static_cast<size_t>(order[i])] = i;
    bool changed = false;
    for (NodeId id : order) {
      while (graph_.alive(id) && TakesPostOps(graph_, graph_.node(id)) &&
             (FuseActivation(id) || FuseBinary(id))) {
        changed = true;
      }
    }
    return changed;
  }

 private:
  std::string NameOf(NodeId id) const {
    return Describe(graph_.node(id), graph_.value(graph_.node(id).outputs[0]).name);
  }

  void Note(NodeId id, NodeId user, size_t first_new) {
    std::string text;
    const Node& node = graph_.node(id);
    for (size_t i = first_new; i < node.post_ops.size(); ++i)
      text += (text.empty() ? "" : " and ") + ToString(node.post_ops[i]);
    ctx_.Applied(graph_, graph_.node(user), text + " fused into " + NameOf(id));
  }

  bool FuseActivation(NodeId id) {
    const ValueId x = graph_.node(id).outputs[0];
    if (graph_.IsOutput(x)) return false;
    const auto found = FindActivation(graph_, ctx_, x, [&](const Activation& a) {
      const auto& users = graph_.value(x).users;
      return !a.ops.empty() && std::all_of(users.begin(), users.end(), [&](NodeId user) {
        return std::find(a.nodes.begin(), a.nodes.end(), user) != a.nodes.end();
      });
    });
    if (!found) return false;
    Node& node = graph_.node(id);
    const size_t first = node.post_ops.size();
    node.post_ops.insert(node.post_ops.end(), found->ops.begin(), found->ops.end());
    const NodeId last = graph_.value(found->result).producer;
    Note(id, last, first);
    Absorb(graph_, last, x);
    return true;
  }

  // Whether `operand`'s producer is the better one to take an operation on x and it.
  bool BetterElsewhere(NodeId id, ValueId x, ValueId operand) const {
    const NodeId other = ExclusiveProducer(graph_, operand);
    if (other == NodeId::kNone || !TakesPostOps(graph_, graph_.node(other))) return false;
    if (!BroadcastsTo(graph_.value(x).type, graph_.value(operand).type)) return false;
    const bool heavy = IsHeavy(graph_.node(id)), other_heavy = IsHeavy(graph_.node(other));
    // The later one finds the other's result there; the earlier would have to wait.
    return heavy != other_heavy ? other_heavy
                                : position_[static_cast<size_t>(other)] > position_[static_cast<size_t>(id)];
  }

  ValueId Mapped(ValueId constant, double (*fn)(double)) {
    const Tensor& tensor = graph_.value(constant).constant;
    auto values = ConstantFloats(graph_, ctx_, constant);
    if (!values) return ValueId::kNone;
    for (double& value : *values) {
      value = fn(value);
      if (!std::isfinite(value)) return ValueId::kNone;
    }
    const Tensor mapped = FloatTensor(ctx_, tensor.dtype(), tensor.shape(), *values);
    return mapped.empty() ? ValueId::kNone
                          : graph_.AddConstant(graph_.value(constant).name + "/mapped", mapped);
  }

  bool FuseBinary(NodeId id) {
    const ValueId x = graph_.node(id).outputs[0];
    const NodeId user_id = graph_.SingleUser(x);
    if (user_id == NodeId::kNone) return false;
    const Node& user = graph_.node(user_id);
    if (user.attrs.Has("axis")) return false;  // an old rule of broadcasting
    if (IsOp(user, "BatchNormalization")) return FuseBatchNorm(id, user_id);
    const bool add = IsOp(user, "Add") || (IsOp(user, "Sum") && user.inputs.size() == 2),
               mul = IsOp(user, "Mul");
    const bool sub = IsOp(user, "Sub"), div = IsOp(user, "Div"), prelu = IsOp(user, "PRelu");
    if (!add && !mul && !sub && !div && !prelu) return false;
    const bool first = user.inputs[0] == x;
    ValueId operand = user.inputs[first ? 1 : 0];
    if (!first && (div || prelu)) return false;
    const GraphValue& value = graph_.value(operand);
    if (value.type.dtype != graph_.value(x).type.dtype) return false;
    if (!BroadcastsTo(value.type, graph_.value(x).type)) {
      ctx_.Kept(graph_, user,
                "not fused into " + NameOf(id) + ": " + ToString(value.type) +
                    " does not for certain broadcast to " + ToString(graph_.value(x).type));
      return false;
    }
    if ((add || mul) && BetterElsewhere(id, x, operand)) return false;
    std::vector<PostOp> ops;
    if (first && (sub || div)) {
      const ValueId mapped = !graph_.IsConstant(operand) ? ValueId::kNone
                             : sub                       ? Mapped(operand, [](double v) { return -v; })
                                                         : Mapped(operand, [](double v) { return 1 / v; });
      if (mapped == ValueId::kNone) {
        ctx_.Kept(graph_, user, "not fused into " + NameOf(id) + ": there is no post-op for it");
        return false;
      }
      operand = mapped;
    }
    if (sub && !first) ops.push_back({Kind::kLinear, -1, 0});
    ops.push_back({prelu ? Kind::kPRelu : add || sub ? Kind::kAdd : Kind::kMul});
    Append(id, user_id, std::move(ops), {operand});
    return true;
  }

  // y[c] = scale[c] * x[c] + shift[c].
  bool FuseBatchNorm(NodeId id, NodeId user_id) {
    const Node& user = graph_.node(user_id);
    const ValueType& type = graph_.value(user.inputs[0]).type;
    if (user.attrs.Int("spatial", 1) == 0 || user.attrs.Int("training_mode", 0) != 0 || !type.has_shape ||
        type.shape.size() < 2 || !type.shape[1].known() || !OnlyFirstOutputUsed(graph_, user)) {
      return false;
    }
    std::vector<std::vector<double>> of;
    for (size_t i = 1; i < 5; ++i) {
      auto values = ConstantFloats(graph_, ctx_, InputOf(user, i));
      if (!values || static_cast<int64_t>(values->size()) != type.shape[1].value()) return false;
      of.push_back(std::move(*values));
    }
    const double epsilon = static_cast<double>(user.attrs.Float("epsilon", 1e-5f));
    std::vector<double> scale, shift;
    for (size_t i = 0; i < of[0].size(); ++i) {
      scale.push_back(of[0][i] / std::sqrt(of[3][i] + epsilon));
      shift.push_back(of[1][i] - of[2][i] * scale.back());
      if (!std::isfinite(scale.back()) || !std::isfinite(shift.back())) return false;
    }
    Shape shape(type.shape.size() - 1, 1);
    shape[0] = type.shape[1].value();
    const std::string name = graph_.value(user.outputs[0]).name;
    const Tensor scales = FloatTensor(ctx_, type.dtype, shape, scale),
                 shifts = FloatTensor(ctx_, type.dtype, shape, shift);
    if (scales.empty() || shifts.empty()) return false;
    Append(id, user_id, {{Kind::kMul}, {Kind::kAdd}},
           {graph_.AddConstant(name + "/scale", scales), graph_.AddConstant(name + "/shift", shifts)});
    return true;
  }

  // `operands` belong to the last of the new post-ops, in order.
  void Append(NodeId id, NodeId user_id, std::vector<PostOp> ops, const std::vector<ValueId>& operands) {
    Node& node = graph_.node(id);
    const bool has_operands = std::any_of(node.post_ops.begin(), node.post_ops.end(),
                                          [](const PostOp& op) { return op.operand >= 0; });
    // The operator's own optional inputs come first, absent ones as well.
    while (!has_operands && node.op->max_inputs != Operator::kMany &&
           static_cast<int>(node.inputs.size()) < node.op->max_inputs) {
      graph_.AddInput(id, ValueId::kNone);
    }
    for (size_t i = 0; i < operands.size(); ++i) {
      ops[ops.size() - operands.size() + i].operand = static_cast<int>(node.inputs.size());
      graph_.AddInput(id, operands[i]);
    }
    const size_t first = node.post_ops.size();
    node.post_ops.insert(node.post_ops.end(), ops.begin(), ops.end());
    Note(id, user_id, first);
    Absorb(graph_, user_id, node.outputs[0]);
  }

  Graph& graph_;
  PassContext& ctx_;
  std::vector<size_t> position_;
};

bool Run(Graph& graph, PassContext& ctx) { return Fuser(graph, ctx).Run(); }

}  // namespace

const Pass kFusePostOps = {"fuse-post-ops",
                           "fuses activations, sums and factors into what computes their input", Run};

}  // namespace sluice
