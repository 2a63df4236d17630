//   w: float --> Conv          becomes          w: float16 --> Cast(float) --> Conv

#include <cmath>

#include "graph/edit/edits.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

// Short lists are sizes, scales and the like, which other readers want as plain constants.
constexpr int64_t kLeastElems = 64;
constexpr float kMostHalf = 65504;
constexpr int kCastVersion = 13;  // ConvertOpset gives it the graph's

bool FitsHalf(const Tensor& tensor) {
  for (float value : tensor.values<float>()) {
    if (std::isfinite(value) && std::abs(value) > kMostHalf) return false;
  }
  return true;
}

void StoreIn(Graph& graph, const PassContext& ctx, HalfWeights& result) {
  const size_t count = graph.num_values();
  for (size_t i = 0; i < count; ++i) {
    const auto id = static_cast<ValueId>(i);
    const Tensor constant = graph.value(id).constant;
    if (constant.dtype() != DataType::kFloat || constant.num_elements() < kLeastElems ||
        graph.value(id).users.empty()) {
      continue;
    }
    const std::string name = graph.value(id).name;
    if (!FitsHalf(constant)) {
      result.kept.push_back(name);
      continue;
    }
    const Tensor half = ConvertTensor(ctx, constant, DataType::kFloat16);
    if (half.empty()) continue;
    const ValueId stored = graph.AddConstant(name, half);
    Node cast = MakeOp("Cast", kCastVersion, {stored}, {{"to", static_cast<int64_t>(DataType::kFloat)}});
    cast.name = name + "/Cast";
    graph.ReplaceUses(id, AddOp(graph, std::move(cast), name + "/float"));
    ++result.stored;
  }
}

}  // namespace

HalfWeights StoreWeightsAsHalf(Graph& graph, const PassContext& ctx) {
  HalfWeights result;
  ForEachGraph(graph, [&](Graph& part) { StoreIn(part, ctx, result); });
  return result;
}

}  // namespace sluice
