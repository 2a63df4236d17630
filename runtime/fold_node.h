#pragma once

#include <optional>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "kernels/kernel.h"

namespace sluice {

// The results of a node that cannot depend on the run, computed now. Nothing if they can, would be large, or
// would take a time that sizes do not tell. `constants` and `inputs` have an entry for each input: its
// elements or null, its type or null if it is absent. Thread-safe. Throws Error as the node does.
std::optional<std::vector<Value>> FoldNode(const Node& node, std::span<const Tensor* const> constants,
                                           std::span<const ValueType* const> inputs,
                                           std::span<const ValueType> outputs,
                                           const PrepareContext::SubgraphMaker& make_subgraph);

}  // namespace sluice
