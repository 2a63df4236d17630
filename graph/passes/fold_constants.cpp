//   c1, c2 --> Op --> y        becomes        y, computed now
//
// where Op is pure, and also Shape and Size of a value whose sizes are known. Results are bounded: a
// model of a few bytes must not grow into gigabytes at load.

#include <algorithm>

#include "graph/infer.h"
#include "graph/late_products.h"
#include "graph/passes/match.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

// A result may have this size or that of its inputs; all results together, this or the constants' size at
// first.
constexpr int64_t kMaxResultBytes = 1 << 20;
constexpr int64_t kMinTotalBytes = 64 << 20;

class Folder {
 public:
  Folder(Graph& graph, PassContext& ctx) : graph_(graph), ctx_(ctx) {
    for (size_t i = 0; i < graph.num_values(); ++i) {
      const Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
      if (!constant.empty()) budget_ += constant.byte_size();
    }
    budget_ = std::max(budget_, kMinTotalBytes);
  }

  bool Run() {
    if (!ctx_.evaluate) return false;
    bool changed = false;
    for (NodeId id : graph_.TopologicalOrder()) changed |= graph_.alive(id) && Fold(id);
    return changed;
  }

 private:
  bool Fold(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.op == nullptr || !node.op->pure || node.captures > 0) return false;
    std::vector<Value> values;
    std::vector<const ValueType*> types;
    std::vector<const Tensor*> constants;
    int64_t input_bytes = 0;
    for (ValueId input : node.inputs) {
      types.push_back(input == ValueId::kNone ? nullptr : &graph_.value(input).type);
      constants.push_back(graph_.IsConstant(input) ? &graph_.value(input).constant : nullptr);
      if (input == ValueId::kNone) {
        values.emplace_back();
      } else if (graph_.IsConstant(input)) {
        values.emplace_back(graph_.value(input).constant);
        input_bytes += values.back().tensor().byte_size();
      } else if (node.op->shape_only && types.back()->IsConcrete()) {
        values.emplace_back(Tensor::Borrow(types.back()->dtype, *ToShape(types.back()->shape), nullptr));
      } else {
        return false;
      }
    }
    const std::vector<ValueType> outputs = InferNode(node, std::move(types), std::move(constants));
    int64_t output_bytes = 0;
    for (const ValueType& type : outputs) {
      if (type.IsConcrete()) output_bytes += ByteSize(type.dtype, NumElements(*ToShape(type.shape)));
    }
    // Weights: those who write the graph compute them.
    if (ctx_.late_products && output_bytes > kMaxResultBytes && IsLateProduct(graph_, id)) return false;
    if (output_bytes > std::max(kMaxResultBytes, input_bytes) || output_bytes > budget_) {
      ctx_.Kept(graph_, node,
                "its constant result of " + std::to_string(output_bytes) + " bytes is too large to keep");
      return false;
    }
    const std::vector<Value> results = ctx_.evaluate(node, values);
    if (results.size() != node.outputs.size()) return false;
    for (size_t i = 0; i < results.size(); ++i) {
      if (node.outputs[i] != ValueId::kNone && !results[i].is_tensor()) return false;
    }
    budget_ -= output_bytes;
    const std::vector<ValueId> old = node.outputs;
    ctx_.Applied(graph_, node, "computed at load");
    for (size_t i = 0; i < results.size(); ++i) {
      if (old[i] == ValueId::kNone) continue;
      graph_.ReplaceUses(old[i], graph_.AddConstant(graph_.value(old[i]).name, results[i].Owned().tensor()));
    }
    RemoveUnused(graph_, id);
    return true;
  }

  Graph& graph_;
  PassContext& ctx_;
  int64_t budget_ = 0;
};

bool Run(Graph& graph, PassContext& ctx) {
  if (!Folder(graph, ctx).Run()) return false;
  InferShapes(graph);  // sizes that were computed are known now
  return true;
}

}  // namespace

const Pass kFoldConstants = {"fold-constants", "computes at load what does not depend on the inputs", Run};

}  // namespace sluice
