#pragma once

#include <span>
#include <vector>

#include "kernels/kernel.h"

namespace sluice {

// Runs one node on values at hand: infers the outputs' shapes, picks and prepares a kernel, runs its
// tiles. The node must be resolved (Node::op). Inputs are in the node's order; none stands for absent
// ones. Results own their memory or share an input's. Thread-safe.
// Throws Error{kInvalidModel, kUnsupported, kOutOfMemory}.
std::vector<Value> Evaluate(const Node& node, std::span<const Value> inputs,
                            const PrepareContext::SubgraphMaker& make_subgraph = {});

// The same, empty where it fails: for passes (PassContext::evaluate). What fails here fails again, with its
// message, where the node is planned.
std::vector<Value> EvaluateOrNone(const Node& node, std::span<const Value> inputs);

// The same as Evaluate with candidate `candidate` of the operator only; throws Declined if it declines.
std::vector<Value> EvaluateWith(size_t candidate, const Node& node, std::span<const Value> inputs,
                                const PrepareContext::SubgraphMaker& make_subgraph = {});

}  // namespace sluice
