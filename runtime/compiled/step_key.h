#pragma once

#include <string>

#include "kernels/kernel.h"

namespace sluice {

// All that the choice of a node's kernel depends on beside the node and the machine: types, sizes and layouts
// of its inputs, and which of them are known.
std::string StepKey(const Node& node, const PrepareContext& ctx);

}  // namespace sluice
