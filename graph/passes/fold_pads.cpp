//   x --> Pad(0) --> Conv --> y            becomes        x --> Conv(pads) --> y
//
// for padding of the spatial axes by what the operator itself pads with: zeros for Conv; zeros that count for
// AveragePool; -inf for MaxPool.

#include <limits>

#include "graph/passes/match.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

// The number that a constant Pad writes; nothing for the other modes.
std::optional<double> PadValue(const Graph& graph, const PassContext& ctx, const Node& pad) {
  if (pad.attrs.String("mode", "constant") != "constant") return std::nullopt;
  if (pad.since_version < 11) return static_cast<double>(pad.attrs.Float("value", 0));
  if (InputOf(pad, 2) == ValueId::kNone) return 0.0;
  return ConstantScalar(graph, ctx, pad.inputs[2]);
}

// Pads of the axes behind the second, begins first; nothing if others are padded or any is negative.
std::optional<std::vector<int64_t>> SpatialPads(const Graph& graph, const Node& pad, size_t rank) {
  const auto pads = IntsOf(graph, pad, pad.attrs.Has("paddings") ? "paddings" : "pads", 1);
  if (!pads || InputOf(pad, 3) != ValueId::kNone || pads->size() != 2 * rank) return std::nullopt;
  std::vector<int64_t> spatial;
  for (size_t i = 0; i < pads->size(); ++i) {
    if ((*pads)[i] < 0) return std::nullopt;
    if (i % rank >= 2)
      spatial.push_back((*pads)[i]);
    else if ((*pads)[i] != 0)
      return std::nullopt;
  }
  return spatial;
}

bool FoldPad(Graph& graph, NodeId id, PassContext& ctx) {
  const Node& pad = graph.node(id);
  if (!IsOp(pad, "Pad")) return false;
  const NodeId user_id = graph.SingleUser(pad.outputs[0]);
  const auto rank = RankOf(graph, pad.inputs[0]);
  if (user_id == NodeId::kNone || !rank || *rank < 3) return false;
  Node& user = graph.node(user_id);
  const bool conv = IsOp(user, "Conv"), average = IsOp(user, "AveragePool"), max = IsOp(user, "MaxPool");
  if ((!conv && !average && !max) || user.inputs[0] != pad.outputs[0]) return false;
  const auto keep = [&](const std::string& why) {
    ctx.Kept(graph, pad,
             "stays in front of " + Describe(user, graph.value(user.outputs[0]).name) + ": " + why);
    return false;
  };
  const auto value = PadValue(graph, ctx, pad);
  const auto extra = SpatialPads(graph, pad, *rank);
  if (!value) return keep("it does not pad with a constant number");
  if (!extra) return keep("it does not only add to spatial axes");
  const bool fits = max ? *value <= std::numeric_limits<float>::lowest() : *value == 0;
  if (!fits) return keep("it pads with " + std::to_string(*value));
  const std::string auto_pad = user.attrs.String("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" && auto_pad != "VALID") return keep("its auto_pad is " + auto_pad);
  std::vector<int64_t> pads = user.attrs.Ints("pads", std::vector<int64_t>(extra->size(), 0));
  if (pads.size() != extra->size()) return false;
  bool padded = false;
  for (int64_t size : pads) padded |= size != 0;
  if (average && padded && user.attrs.Int("count_include_pad", 0) == 0)
    return keep("its own padding does not count");
  for (size_t i = 0; i < pads.size(); ++i) pads[i] += (*extra)[i];
  if (!conv) {
    if (user.attrs.Int("ceil_mode", 0) != 0) return keep("its ceil_mode is set");
    if (max && !OnlyFirstOutputUsed(graph, user)) return keep("its indices are used");
    if (average && user.since_version < 7) return keep("its version cannot count padding");
    const std::vector<int64_t>& kernel = user.attrs.Ints("kernel_shape");
    for (size_t i = 0; i < pads.size(); ++i) {
      if (pads[i] >= kernel[i % kernel.size()]) return keep("whole windows would be padding");
    }
  }
  ctx.Applied(graph, pad, "moved into the pads of " + Describe(user, graph.value(user.outputs[0]).name));
  user.attrs.Set("pads", pads);
  user.attrs.Erase("auto_pad");
  if (average) user.attrs.Set("count_include_pad", int64_t{1});
  Bypass(graph, id, pad.inputs[0]);
  return true;
}

bool Run(Graph& graph, PassContext& ctx) {
  bool changed = false;
  for (NodeId id : graph.TopologicalOrder()) changed |= graph.alive(id) && FoldPad(graph, id, ctx);
  return changed;
}

}  // namespace

const Pass kFoldPads = {"fold-pads", "moves padding into convolutions and pooling", Run};

}  // namespace sluice
