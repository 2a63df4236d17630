#include "graph/late_products.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace sluice {
namespace {

// Small enough for the second-level cache, so that a piece is there when it is written.
constexpr int64_t kPieceElems = 1 << 16;

// Which of the two first axes `factors` varies along; nothing where it is neither.
std::optional<size_t> AxisOf(const Shape& weights, const Shape& factors) {
  if (weights.size() < 2 || factors.size() != weights.size()) return std::nullopt;
  for (size_t axis = 0; axis < 2; ++axis) {
    Shape along(weights.size(), 1);
    along[axis] = weights[axis];
    if (factors == along) return axis;
  }
  return std::nullopt;
}

Tensor Product(const Tensor& weights, const Tensor& factors) {
  Tensor product(DataType::kFloat, weights.shape());
  float* to = product.mutable_values<float>().data();
  MultiplyInPieces(weights, factors,
                   [&](std::span<const float> piece) { to = std::copy(piece.begin(), piece.end(), to); });
  return product;
}

// Calls fn(value, weights, factors) for each product, which makes a constant of `value`, and removes it.
template <typename Fn>
void Replace(Graph& graph, Fn fn) {
  for (NodeId id : graph.TopologicalOrder()) {
    for (const auto& [name, attribute] : graph.node(id).attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute)) ComputeLateProducts(**nested);
    }
    if (!IsLateProduct(graph, id)) continue;
    const Node& node = graph.node(id);
    const Tensor weights = graph.value(node.inputs[0]).constant,
                 factors = graph.value(node.inputs[1]).constant;
    const std::vector<ValueId> operands = node.inputs;
    const ValueId product = node.outputs[0];
    graph.RemoveNode(id);
    for (ValueId operand : operands) {
      if (graph.value(operand).users.empty() && !graph.IsOutput(operand)) graph.value(operand).constant = {};
    }
    graph.value(product).type = ValueType::Of(weights.dtype(), ToSymShape(weights.shape()));
    fn(product, weights, factors);
  }
}

}  // namespace

bool IsLateProduct(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  // Of a version that broadcasts as all do since 7.
  if (node.op_type != "Mul" || !node.domain.empty() || node.since_version < 7 || !node.post_ops.empty())
    return false;
  if (graph.IsOutput(node.outputs[0])) return false;
  if (!graph.IsConstant(node.inputs[0]) || !graph.IsConstant(node.inputs[1])) return false;
  const Tensor& weights = graph.value(node.inputs[0]).constant;
  const Tensor& factors = graph.value(node.inputs[1]).constant;
  return weights.dtype() == DataType::kFloat && factors.dtype() == DataType::kFloat &&
         AxisOf(weights.shape(), factors.shape()).has_value();
}

LateFactors TakeLateProducts(Graph& graph) {
  LateFactors taken;
  Replace(graph, [&](ValueId value, const Tensor& weights, const Tensor& factors) {
    graph.value(value).constant = weights;
    taken[value] = factors;
  });
  return taken;
}

void ComputeLateProducts(Graph& graph) {
  Replace(graph, [&](ValueId value, const Tensor& weights, const Tensor& factors) {
    graph.value(value).constant = Product(weights, factors);
  });
}

void MultiplyInPieces(const Tensor& weights, const Tensor& factors,
                      const std::function<void(std::span<const float>)>& put) {
  const Shape& shape = weights.shape();
  const size_t axis = *AxisOf(shape, factors.shape());
  const auto from = weights.values<float>(), along = factors.values<float>();
  // Elements in a row that have the same factor.
  const int64_t alike = axis + 1 < shape.size() ? NumElements(std::span(shape).subspan(axis + 1)) : 1;
  std::vector<float> piece(static_cast<size_t>(std::min(weights.num_elements(), kPieceElems)));
  for (int64_t begin = 0; begin < weights.num_elements(); begin += kPieceElems) {
    const int64_t end = std::min(weights.num_elements(), begin + kPieceElems);
    for (int64_t i = begin; i < end;) {
      const int64_t run = i / alike, run_end = std::min(end, (run + 1) * alike);
      const float factor = along[static_cast<size_t>(run % shape[axis])];
      for (; i < run_end; ++i) piece[static_cast<size_t>(i - begin)] = from[static_cast<size_t>(i)] * factor;
    }
    put(std::span(piece).first(static_cast<size_t>(end - begin)));
  }
}

}  // namespace sluice
