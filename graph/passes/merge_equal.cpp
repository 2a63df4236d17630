//   x --> Op --> y             becomes        x --> Op --> y, z
//   x --> Op --> z
//
// for nodes with the same operator, inputs, attributes and post-ops, and for small constants with the same
// bytes.

#include <cstring>
#include <map>
#include <string>

#include "graph/operator.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

// Larger constants are weights: reading them all at load costs more than finding two equal ones gains.
constexpr int64_t kMaxConstantBytes = 4096;

template <typename T>
void Append(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void Append(std::string& key, const std::string& value) {
  Append(key, value.size());
  key += value;
}

// False: not comparable.
bool AppendTensor(std::string& key, const Tensor& tensor) {
  if (tensor.dtype() == DataType::kString || tensor.byte_size() > kMaxConstantBytes) return false;
  Append(key, tensor.dtype());
  Append(key, tensor.shape().size());
  for (int64_t size : tensor.shape()) Append(key, size);
  key.append(static_cast<const char*>(tensor.data()), static_cast<size_t>(tensor.byte_size()));
  return true;
}

bool AppendAttribute(std::string& key, const Attribute& attribute) {
  Append(key, attribute.index());
  return std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Tensor>) {
          return AppendTensor(key, value);
        } else if constexpr (std::is_same_v<T, std::vector<Tensor>> ||
                             std::is_same_v<T, std::shared_ptr<Graph>>) {
          return false;
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>> ||
                             std::is_same_v<T, std::vector<float>> ||
                             std::is_same_v<T, std::vector<std::string>>) {
          Append(key, value.size());
          for (const auto& item : value) Append(key, item);
          return true;
        } else {
          Append(key, value);
          return true;
        }
      },
      attribute);
}

// Empty: the node equals no other.
std::string KeyOf(const Node& node) {
  if (node.op == nullptr || !node.op->pure || node.captures > 0) return {};
  std::string key;
  Append(key, node.op);
  Append(key, node.since_version);
  Append(key, node.inputs.size());
  for (ValueId input : node.inputs) Append(key, input);
  for (ValueId output : node.outputs) Append(key, output == ValueId::kNone);
  for (const PostOp& op : node.post_ops) {
    Append(key, op.kind);
    Append(key, op.alpha);
    Append(key, op.beta);
    Append(key, op.operand);
  }
  for (const auto& [name, attribute] : node.attrs.all()) {
    Append(key, name);
    if (!AppendAttribute(key, attribute)) return {};
  }
  return key;
}

bool MergeConstants(Graph& graph) {
  bool changed = false;
  std::map<std::string, ValueId> seen;
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (!graph.IsConstant(id) || graph.value(id).users.empty()) continue;
    std::string key;
    if (!AppendTensor(key, graph.value(id).constant)) continue;
    const auto [first, added] = seen.emplace(std::move(key), id);
    if (added || graph.IsOutput(id)) continue;
    graph.ReplaceUses(id, first->second);
    changed = true;
  }
  return changed;
}

bool Run(Graph& graph, PassContext& ctx) {
  bool changed = MergeConstants(graph);
  std::map<std::string, NodeId> seen;
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    const std::string key = KeyOf(node);
    if (key.empty()) continue;
    const auto [first, added] = seen.emplace(key, id);
    if (added) continue;
    const Node& twin = graph.node(first->second);
    ctx.Applied(graph, node, "the same as " + Describe(twin, graph.value(twin.outputs[0]).name));
    const std::vector<ValueId> outputs = node.outputs;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] != ValueId::kNone) graph.ReplaceUses(outputs[i], twin.outputs[i]);
    }
    graph.RemoveNode(id);
    changed = true;
  }
  return changed;
}

}  // namespace

const Pass kMergeEqual = {"merge-equal", "computes equal nodes once", Run};

}  // namespace sluice
