#pragma once

#include <cstdint>

#include "graph/graph.h"
#include "sluice/accuracy.h"

namespace sluice {

// The size in bytes up to which weights of convolutions may take more in the order that a kernel wants them,
// so that all constants of the graph then take at most `max_bytes`; those of one size are treated alike.
// Small ones come first: they gain as much for less. Negative where the constants alone take more than that.
int64_t MostGrownBytes(const Graph& graph, Accuracy accuracy, int64_t max_bytes);

}  // namespace sluice
