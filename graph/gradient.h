#pragma once

#include "graph/graph.h"

namespace sluice {

// Replaces every node Gradient (ai.onnx.preview.training 1) by nodes that compute the derivatives, by reverse
// accumulation over the operators between the tensors named `xs` and the one named `y`; nested graphs
// included. All other nodes must be resolved. Throws Error{kInvalidModel} for names that are not there,
// Error{kUnsupported} for operators on the way without a rule (graph/gradient_rules.cpp).
void ExpandGradients(Graph& graph);

}  // namespace sluice
