//   x --> Identity --> y       becomes        y = x
//
// and likewise every operator that, as it is used here, gives back its input: Dropout at inference, Cast to
// the same type, moves that move nothing, sums of one. Two Transposes in a row become one, as do two
// reshapes.

#include <algorithm>
#include <map>
#include <numeric>

#include "graph/passes/match.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

using Ints = std::vector<int64_t>;

bool AllAre(const std::optional<Ints>& values, int64_t wanted) {
  return values &&
         std::all_of(values->begin(), values->end(), [=](int64_t value) { return value == wanted; });
}

// The permutation of a Transpose of a value of known rank.
std::optional<Ints> PermutationOf(const Graph& graph, const Node& node) {
  if (node.attrs.Has("perm")) return node.attrs.Ints("perm");
  const auto rank = RankOf(graph, node.inputs[0]);
  if (!rank) return std::nullopt;
  Ints reversed(*rank);
  for (size_t i = 0; i < *rank; ++i) reversed[i] = static_cast<int64_t>(*rank - 1 - i);
  return reversed;
}

class Matcher {
 public:
  Matcher(const Graph& graph, const PassContext& ctx) : graph_(graph), ctx_(ctx) {}

  // Whether the node's first output is its first input, and nothing else of it is needed.
  bool IsNoOp(const Node& node) const {
    if (node.op == nullptr || !node.domain.empty() || !node.post_ops.empty() || node.inputs.empty() ||
        node.inputs[0] == ValueId::kNone || !OnlyFirstOutputUsed(graph_, node)) {
      return false;
    }
    static const std::map<std::string_view, bool (Matcher::*)(const Node&) const> kRules = {
        {"Identity", &Matcher::Always},
        {"Dropout", &Matcher::Inference},
        {"Cast", &Matcher::SameType},
        {"CastLike", &Matcher::SameType},
        {"Reshape", &Matcher::SameSizes},
        {"Flatten", &Matcher::SameSizes},
        {"Squeeze", &Matcher::SameSizes},
        {"Unsqueeze", &Matcher::SameSizes},
        {"Expand", &Matcher::SameSizes},
        {"Tile", &Matcher::SameSizes},
        {"Transpose", &Matcher::KeepsOrder},
        {"Slice", &Matcher::WholeSlice},
        {"Pad", &Matcher::ZeroPads},
        {"Resize", &Matcher::SameScale},
        {"Upsample", &Matcher::SameScale},
        {"Concat", &Matcher::One},
        {"Sum", &Matcher::One},
        {"Max", &Matcher::One},
        {"Min", &Matcher::One},
        {"Mean", &Matcher::One},
        {"Split", &Matcher::SameSizes},
        {"Mul", &Matcher::ByOne},
        {"Div", &Matcher::ByOne},
        {"Sub", &Matcher::ByZero}};
    const auto rule = kRules.find(node.op_type);
    return rule != kRules.end() && (this->*rule->second)(node);
  }

 private:
  const ValueType& TypeOf(ValueId value) const { return graph_.value(value).type; }

  bool Always(const Node&) const { return true; }
  bool Inference(const Node& node) const {
    const ValueId training = InputOf(node, 2);
    return training == ValueId::kNone ||
           (graph_.IsConstant(training) && !graph_.value(training).constant.values<bool>()[0]);
  }
  bool SameType(const Node& node) const {
    const ValueType &from = TypeOf(node.inputs[0]), &to = TypeOf(node.outputs[0]);
    return from.dtype != DataType::kUndefined && from.dtype == to.dtype;
  }
  // By inference alone: what models state of their outputs' sizes is often wrong.
  bool SameSizes(const Node& node) const {
    return SameShape(TypeOf(node.inputs[0]), InferredType(graph_, node));
  }
  bool KeepsOrder(const Node& node) const {
    const auto permutation = PermutationOf(graph_, node);
    return permutation && std::is_sorted(permutation->begin(), permutation->end());
  }
  bool WholeSlice(const Node& node) const {
    if (!SameSizes(node)) return false;
    if (InputOf(node, 4) == ValueId::kNone) return true;
    const auto steps = ConstantInts(graph_, node.inputs[4]);
    return steps && std::all_of(steps->begin(), steps->end(), [](int64_t step) { return step > 0; });
  }
  bool ZeroPads(const Node& node) const {
    return AllAre(IntsOf(graph_, node, node.attrs.Has("paddings") ? "paddings" : "pads", 1), 0);
  }
  bool SameScale(const Node& node) const {
    if (!SameSizes(node)) return false;
    const std::string mode = node.attrs.String("coordinate_transformation_mode", "half_pixel");
    if (mode == "tf_crop_and_resize" || mode == "tf_half_pixel_for_nn") return false;
    // Sizes given, the scale is their ratio; given itself it may round to the same size.
    if (InputOf(node, 3) != ValueId::kNone) return true;
    if (node.attrs.Has("scales")) {
      const auto& scales = node.attrs.Floats("scales");
      return std::all_of(scales.begin(), scales.end(), [](float scale) { return scale == 1; });
    }
    const size_t at = node.op_type == "Upsample" || node.since_version == 10 ? 1 : 2;
    const auto scales = ConstantFloats(graph_, ctx_, InputOf(node, at));
    return scales && !scales->empty() &&
           std::all_of(scales->begin(), scales->end(), [](double scale) { return scale == 1; });
  }
  bool One(const Node& node) const { return node.inputs.size() == 1; }
  bool ByNumber(const Node& node, double number) const {
    return SameSizes(node) && ConstantScalar(graph_, ctx_, InputOf(node, 1)) == number;
  }
  bool ByOne(const Node& node) const { return ByNumber(node, 1); }
  bool ByZero(const Node& node) const { return ByNumber(node, 0); }

  const Graph& graph_;
  const PassContext& ctx_;
};

// Transpose(Transpose(x, p), q) is one Transpose by q after p.
bool JoinTransposes(Graph& graph, NodeId id, PassContext& ctx) {
  const Node& outer = graph.node(id);
  const Node* inner = IsOp(outer, "Transpose") ? ProducerOp(graph, outer.inputs[0], "Transpose") : nullptr;
  if (inner == nullptr) return false;
  const auto p = PermutationOf(graph, *inner), q = PermutationOf(graph, outer);
  if (!p || !q || p->size() != q->size()) return false;
  Ints joined;
  for (int64_t axis : *q) {
    if (axis < 0 || axis >= static_cast<int64_t>(p->size())) return false;
    joined.push_back((*p)[static_cast<size_t>(axis)]);
  }
  ctx.Applied(graph, outer, "joined with the Transpose before it");
  ReplaceNode(graph, id, MakeOp("Transpose", outer.since_version, {inner->inputs[0]}, {{"perm", joined}}));
  return true;
}

bool IsReshape(const Node& node) {
  return IsOp(node, "Reshape") || IsOp(node, "Flatten") || IsOp(node, "Squeeze") || IsOp(node, "Unsqueeze");
}

// The second of two reshapes in a row reads the first one's input; where that is not in its terms it becomes
// a Reshape to the sizes, at most one of which may be unknown.
bool JoinReshapes(Graph& graph, NodeId id, PassContext& ctx) {
  const Node& outer = graph.node(id);
  if (!IsReshape(outer)) return false;
  const NodeId inner_id = graph.value(outer.inputs[0]).producer;
  if (inner_id == NodeId::kNone || !IsReshape(graph.node(inner_id))) return false;
  const ValueType& type = graph.value(outer.outputs[0]).type;
  if (!type.has_shape || !HasOp("Reshape", 14)) return false;
  Ints sizes;
  for (const Dim& dim : type.shape) {
    if (dim.is(0)) return false;  // 0 means another thing to Reshape
    sizes.push_back(dim.value());
  }
  if (std::count(sizes.begin(), sizes.end(), -1) > 1) return false;
  ctx.Applied(graph, outer, "joined with the " + graph.node(inner_id).op_type + " before it");
  const ValueId shape = graph.AddConstant(
      graph.value(outer.outputs[0]).name + "/shape",
      Tensor::From<int64_t>({static_cast<int64_t>(sizes.size())}, std::span<const int64_t>(sizes)));
  ReplaceNode(graph, id, MakeOp("Reshape", 14, {graph.node(inner_id).inputs[0], shape}));
  return true;
}

bool Run(Graph& graph, PassContext& ctx) {
  bool changed = false;
  for (NodeId id : graph.TopologicalOrder()) {
    if (!graph.alive(id)) continue;
    if (JoinTransposes(graph, id, ctx) || JoinReshapes(graph, id, ctx)) changed = true;
  }
  const Matcher matcher(graph, ctx);
  for (NodeId id : graph.TopologicalOrder()) {
    if (!graph.alive(id) || !matcher.IsNoOp(graph.node(id))) continue;
    ctx.Applied(graph, graph.node(id), "changes nothing");
    Bypass(graph, id, graph.node(id).inputs[0]);
    changed = true;
  }
  return changed;
}

}  // namespace

const Pass kRemoveNoOps = {"remove-no-ops", "drops what gives back its input, joins Transposes and reshapes",
                           Run};

}  // namespace sluice
