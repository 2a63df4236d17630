#include "runtime/fold_node.h"

#include <algorithm>

#include "graph/operator.h"
#include "kernels/evaluate.h"

namespace sluice {
namespace {

// Results up to this size are computed while planning; larger ones only if the inputs are as large, so
// that a small model cannot grow into a large plan.
constexpr int64_t kMaxFoldedBytes = 1 << 20;

// Whether how long the node runs does not follow from sizes: a loop, or one in its nested graphs. Not for
// loading, where no deadline holds.
bool IsUnbounded(const Node& node) {
  if (node.op_type == "Loop") return true;
  for (const auto& [name, attribute] : node.attrs.all()) {
    const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute);
    if (nested == nullptr) continue;
    for (NodeId id : (*nested)->TopologicalOrder()) {
      if (IsUnbounded((*nested)->node(id))) return true;
    }
  }
  return false;
}

}  // namespace

std::optional<std::vector<Value>> FoldNode(const Node& node, std::span<const Tensor* const> constants,
                                           std::span<const ValueType* const> inputs,
                                           std::span<const ValueType> outputs,
                                           const PrepareContext::SubgraphMaker& make_subgraph) {
  if (!node.op->pure) return std::nullopt;
  std::vector<Value> values;
  int64_t input_bytes = 0, output_bytes = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == ValueId::kNone) {
      values.emplace_back();
    } else if (constants[i] != nullptr) {
      input_bytes += constants[i]->byte_size();
      values.emplace_back(*constants[i]);
    } else if (node.op->shape_only && inputs[i]->IsConcrete()) {
      values.emplace_back(Tensor::Borrow(inputs[i]->dtype, *ToShape(inputs[i]->shape), nullptr));
    } else {
      return std::nullopt;
    }
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != ValueId::kNone && outputs[i].IsConcrete())
      output_bytes += TensorDesc{outputs[i].dtype, *ToShape(outputs[i].shape)}.byte_size();
  }
  if (output_bytes > std::max(kMaxFoldedBytes, input_bytes) || IsUnbounded(node)) return std::nullopt;
  std::vector<Value> results = Evaluate(node, values, make_subgraph);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != ValueId::kNone && !results[i].is_tensor()) return std::nullopt;
  }
  return results;
}

}  // namespace sluice
