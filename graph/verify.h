#pragma once

#include "graph/graph.h"

namespace sluice {

// Checks the invariants of a graph (numbered in verify.cpp), nested graphs included. Throws
// Error{kInvalidModel} with the invariant broken, the node or value, and what was found.
void Verify(const Graph& graph);

}  // namespace sluice
