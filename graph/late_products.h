#pragma once

#include <functional>
#include <map>
#include <span>

#include "graph/graph.h"

namespace sluice {

// Weights that are multiplied by a factor for each channel, left as what they are in ONNX, Mul(weights,
// factors), until somebody needs them: whoever writes a model multiplies piece by piece on the way to the
// file, so that a network's weights need no second place in memory.

// Whether the node is such a product: a plain Mul of a constant of float of rank 2 or more with a constant of
// the same rank that varies along axis 0 or axis 1 alone.
bool IsLateProduct(const Graph& graph, NodeId id);

// Factors by the constant that they belong to.
using LateFactors = std::map<ValueId, Tensor>;

// Takes the products out of a graph. What they computed becomes a constant that holds the elements before
// they are multiplied; they stand for their products only together with the factors that are returned.
// Products of nested graphs are computed.
LateFactors TakeLateProducts(Graph& graph);

// Puts constants in the place of all products, nested graphs' too.
void ComputeLateProducts(Graph& graph);

// Calls put() with the elements of weights times factors in their order, a piece at a time.
void MultiplyInPieces(const Tensor& weights, const Tensor& factors,
                      const std::function<void(std::span<const float>)>& put);

}  // namespace sluice
