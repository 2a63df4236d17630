#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/passes/pass.h"

namespace sluice {

// Edits of whole models, one a file. They leave the types of values that they add to InferShapes, and keep
// the names of inputs and outputs. Where names of values are given, unknown ones are Error{kInvalidArgument}.

// Calls fn for the graph and for all that are nested in its nodes, these first.
void ForEachGraph(Graph& graph, const std::function<void(Graph&)>& fn);

// Sizes that replace those that the model states for an input; -1 leaves one open. What the model states of
// computed values no longer holds then and is dropped.
void SetInputShapes(Graph& graph, const std::map<std::string, Shape>& shapes);

// What lies between the values `from` and `to`: those become the inputs and outputs. No names: the inputs
// that are needed, all outputs. Throws Error{kInvalidArgument} where `to` needs more than `from`, or `from`
// more than is needed.
void ExtractSubgraph(Graph& graph, std::span<const std::string> from, std::span<const std::string> to);

// Every spelling of Leaky ReLU becomes a LeakyRelu node. Returns how many did; ctx has the notes.
int64_t SpellLeakyRelu(Graph& graph, PassContext& ctx);

// Relu nodes become LeakyRelu(alpha). Returns how many.
int64_t ReluToLeaky(Graph& graph, float alpha);

// Runs the pipeline but for `disabled` and writes what it fused as standard nodes of `opset`. Versions of
// nodes may lie beyond the graph's opset: ConvertOpset follows.
void OptimizeForExport(Graph& graph, std::span<const std::string> disabled, int64_t opset, PassContext& ctx);

// Float constants of 64 elements and more are stored as float16 and cast where they are used; those with a
// finite number beyond float16's range stay.
struct HalfWeights {
  int64_t stored = 0;
  std::vector<std::string> kept;  // names of those that stay
};
HalfWeights StoreWeightsAsHalf(Graph& graph, const PassContext& ctx);

// Drops nodes and constants that nothing uses, texts for people and names: inputs and outputs keep theirs,
// other values are numbered.
void Strip(Graph& graph);

}  // namespace sluice
