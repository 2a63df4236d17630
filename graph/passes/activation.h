#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "graph/passes/pass.h"
#include "graph/passes/real_function.h"

namespace sluice {

// A function of one value x that some nodes behind it compute, however they spell it.
struct Activation {
  ValueId result;             // of the last of the nodes
  std::vector<PostOp> ops;    // what it is; empty: x itself
  std::vector<NodeId> nodes;  // what computes it; nobody else uses their values but for the result
};

// The function as post-ops without operands, at most two; nothing if it is none of those. Numbers are
// compared with this relative tolerance.
std::optional<std::vector<PostOp>> RecogniseFunction(const RealFunction& f, double tolerance);

// The activation that begins at x and takes in the most nodes, among those that `wanted` accepts. Nothing
// unless x is a tensor of float or a 16-bit float type.
std::optional<Activation> FindActivation(const Graph& graph, const PassContext& ctx, ValueId x,
                                         const std::function<bool(const Activation&)>& wanted);

}  // namespace sluice
