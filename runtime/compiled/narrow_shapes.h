#pragma once

#include <map>
#include <string>

#include "graph/graph.h"

namespace sluice {

// Sets sizes of inputs that an optimized graph leaves open; -1 leaves one as it is. Throws
// Error{kInvalidArgument} for unknown inputs, Error{kUnsupported} for other sizes than the graph was
// optimized for.
void NarrowInputShapes(Graph& graph, const std::map<std::string, Shape>& shapes);

}  // namespace sluice
