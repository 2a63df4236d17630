#pragma once

#include <cstdint>

#include "graph/graph.h"
#include "graph/passes/pass.h"

namespace sluice {

constexpr int64_t kNewestOpset = 26;

// Gives every node of the standard domain, nested graphs included, the version that `opset` selects, with the
// same results: attributes become inputs and back, operators that an older opset lacks are written as several
// that it has. Nodes may be of any versions before. Types must be inferred before and are after it.
// Throws Error{kUnsupported} naming node, operator and versions for what the other version cannot say.
void ConvertOpset(Graph& graph, int64_t opset, const PassContext& ctx);

}  // namespace sluice
