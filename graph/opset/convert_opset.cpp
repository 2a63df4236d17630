#include "graph/opset/convert_opset.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/edit/edits.h"
#include "graph/infer.h"
#include "graph/operator.h"
#include "graph/opset/crossing.h"
#include "graph/passes/match.h"
#include "sluice/error.h"

namespace sluice {
namespace {

// Opsets before this one broadcast by rules of their own. What is written for an older one is written for
// this one first, so that adapters need not know them.
constexpr int64_t kBroadcasts = 7;

// Versions of the standard operators, ascending.
const std::set<int>& VersionsOf(const std::string& op_type) {
  static const std::map<std::string, std::set<int>, std::less<>> all = [] {
    std::map<std::string, std::set<int>, std::less<>> versions;
    for (const Operator* op : AllOperators()) {
      if (op->domain.empty())
        versions[std::string(op->name)].insert(op->versions.begin(), op->versions.end());
    }
    return versions;
  }();
  static const std::set<int> none;
  const auto found = all.find(op_type);
  return found == all.end() ? none : found->second;
}

bool Names(std::string_view list, std::string_view op) {
  for (size_t at = list.find(op); at != std::string_view::npos; at = list.find(op, at + 1)) {
    const size_t end = at + op.size();
    if ((at == 0 || list[at - 1] == ' ') && (end == list.size() || list[end] == ' ')) return true;
  }
  return false;
}

// All that one operator does at one boundary.
std::vector<const Adapter*> AdaptersAt(std::string_view op, int boundary) {
  std::vector<const Adapter*> found;
  for (const auto list : {MovedAttributeAdapters(), BroadcastingAdapters(), AxisAdapters(), ResizeAdapters(),
                          FunctionAdapters(), NormalizationAdapters(), SmallAdapters()}) {
    for (const Adapter& adapter : list) {
      if (adapter.boundary == boundary && Names(adapter.ops, op)) found.push_back(&adapter);
    }
  }
  return found;
}

class Converter {
 public:
  Converter(Graph& graph, int64_t opset, const PassContext& ctx)
      : graph_(graph), build_(graph, opset), ctx_(ctx) {}

  void Run() {
    for (NodeId id : graph_.TopologicalOrder()) {
      if (!graph_.alive(id) || !graph_.node(id).domain.empty() || graph_.node(id).op == nullptr) continue;
      Convert(id);
    }
  }

 private:
  void Convert(NodeId id) {
    Node& node = graph_.node(id);
    const std::string fallback = ResultName(graph_, node), place = Describe(node, fallback);
    const std::string version = std::to_string(node.since_version);
    build_.SetPrefix(node.name.empty() ? fallback : node.name);
    try {
      while (graph_.alive(id) && Step(id)) {
      }
    } catch (const Error& error) {
      if (std::string_view(error.what()).starts_with(place)) throw;
      throw Error(error.code(), place + ": version " + version + " cannot be written in opset " +
                                    std::to_string(build_.opset()) + ": " + error.what());
    }
    if (!graph_.alive(id)) return;
    const ResolvedOperator found = FindOperator("", node.op_type, build_.opset());
    node.op = found.op;
    node.since_version = found.since_version;
  }

  // Crosses the next boundary; false at the end.
  bool Step(NodeId id) {
    const Node& node = graph_.node(id);
    const std::set<int>& versions = VersionsOf(node.op_type);
    const auto target = static_cast<int>(build_.opset());
    const auto next = versions.upper_bound(node.since_version);
    if (next != versions.end() && *next <= target) {
      Cross(id, *next, true, *next);
      return true;
    }
    if (node.since_version <= target) return false;
    const auto here = versions.find(node.since_version);
    const bool first = here == versions.begin();
    const std::string old_type = node.op_type;
    Cross(id, node.since_version, false, first ? 0 : *std::prev(here));
    if (graph_.alive(id) && first && node.op_type == old_type) {
      throw Error(ErrorCode::kUnsupported, "the operator is not older than opset " + std::to_string(*here));
    }
    return true;
  }

  void Cross(NodeId id, int boundary, bool up, int version_after) {
    Crossing crossing(graph_, id, build_, ctx_, boundary, up);
    const std::string op_type = graph_.node(id).op_type;
    CrossByTables(crossing, boundary, up);
    for (const Adapter* adapter : AdaptersAt(op_type, boundary)) {
      if (crossing.replaced()) return;
      if (const auto adapt = up ? adapter->up : adapter->down) adapt(crossing);
    }
    if (crossing.replaced()) return;
    Node& node = graph_.node(id);
    // An operator under another name has versions of its own.
    node.since_version = node.op_type == op_type
                             ? version_after
                             : FindOperator("", node.op_type, up ? boundary : boundary - 1).since_version;
  }

  Graph& graph_;
  GraphBuilder build_;
  const PassContext& ctx_;
};

// Captured values have the types that they have outside, and what nested graphs compute follows from them.
void InferNested(Graph& graph) {
  for (size_t i = 0; i < graph.num_node_ids(); ++i) {
    if (!graph.alive(static_cast<NodeId>(i))) continue;
    const Node& node = graph.node(static_cast<NodeId>(i));
    const auto captures = static_cast<size_t>(node.captures);
    for (const auto& [name, attribute] : node.attrs.all()) {
      const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute);
      if (nested == nullptr) continue;
      Graph& body = **nested;
      for (size_t c = 0; c < captures; ++c) {
        const ValueId outside = node.inputs[node.inputs.size() - captures + c];
        ValueType& type = body.value(body.inputs[body.inputs.size() - captures + c]).type;
        if (outside != ValueId::kNone && !type.has_shape) type = graph.value(outside).type;
      }
      InferShapes(body);
      InferNested(body);
    }
  }
}

void ConvertAll(Graph& graph, int64_t opset, const PassContext& ctx) {
  InferNested(graph);
  ForEachGraph(graph, [&](Graph& part) { Converter(part, opset, ctx).Run(); });
  InferShapes(graph);
}

bool NeedsConversion(Graph& graph, int64_t opset) {
  bool needs = false;
  ForEachGraph(graph, [&](Graph& part) {
    for (size_t i = 0; i < part.num_node_ids(); ++i) {
      const auto id = static_cast<NodeId>(i);
      if (!part.alive(id) || !part.node(id).domain.empty()) continue;
      needs |= FindOperator("", part.node(id).op_type, opset).since_version != part.node(id).since_version;
    }
  });
  return needs;
}

// Element types that came with an opset.
void CheckTypes(Graph& graph, int64_t opset) {
  static constexpr std::pair<DataType, int64_t> kSince[] = {{DataType::kBFloat16, 13},
                                                            {DataType::kFloat8E4M3FN, 19},
                                                            {DataType::kFloat8E4M3FNUZ, 19},
                                                            {DataType::kFloat8E5M2, 19},
                                                            {DataType::kFloat8E5M2FNUZ, 19},
                                                            {DataType::kUInt4, 21},
                                                            {DataType::kInt4, 21},
                                                            {DataType::kFloat4E2M1, 23},
                                                            {DataType::kFloat8E8M0, 24},
                                                            {DataType::kUInt2, 25},
                                                            {DataType::kInt2, 25}};
  ForEachGraph(graph, [&](Graph& part) {
    for (size_t i = 0; i < part.num_values(); ++i) {
      const GraphValue& value = part.value(static_cast<ValueId>(i));
      for (const auto& [type, since] : kSince) {
        if (value.type.dtype != type || opset >= since) continue;
        throw Error(ErrorCode::kUnsupported, "value '" + value.name + "' is " +
                                                 std::string(DataTypeName(type)) + ", which opset " +
                                                 std::to_string(opset) + " does not have");
      }
    }
  });
}

}  // namespace

void ConvertOpset(Graph& graph, int64_t opset, const PassContext& ctx) {
  CheckTypes(graph, opset);
  if (opset < kBroadcasts && NeedsConversion(graph, kBroadcasts)) ConvertAll(graph, kBroadcasts, ctx);
  if (NeedsConversion(graph, opset)) ConvertAll(graph, opset, ctx);
  graph.opsets[""] = opset;
}

}  // namespace sluice
