#pragma once

#include "graph/graph.h"
#include "sluice/session.h"

namespace sluice {

// What a session tells about an input or output of its graph.
ValueInfo InfoOf(const GraphValue& value);

}  // namespace sluice
