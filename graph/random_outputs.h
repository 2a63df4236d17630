#pragma once

#include <vector>

#include "graph/graph.h"

namespace sluice {

// For each output of the graph: whether its elements depend on a random operator (Operator::random). Sizes of
// random tensors are not random. Requires that nodes are resolved.
std::vector<bool> RandomOutputs(const Graph& graph);

}  // namespace sluice
