#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/passes/pass.h"

namespace sluice {

// How passes edit a graph.

// `tensor` with its elements converted to another type; empty where the evaluator cannot.
Tensor ConvertTensor(const PassContext& ctx, const Tensor& tensor, DataType type);
// A tensor of any float type; empty where the evaluator cannot convert to it.
Tensor FloatTensor(const PassContext& ctx, DataType type, Shape shape, std::span<const double> values);

// A standard operator in its version at `opset`, not yet part of a graph. Throws Error{kInternal} for one
// that has no definition.
Node MakeOp(std::string_view op_type, int opset, std::vector<ValueId> inputs,
            std::map<std::string, Attribute> attrs = {});
bool HasOp(std::string_view op_type, int opset);
// The type of the node's first output as it follows from its inputs; nothing that the model states about it.
ValueType InferredType(const Graph& graph, const Node& node);
// Adds it with one output whose type is inferred and whose name is `name`; returns the output.
ValueId AddOp(Graph& graph, Node node, std::string name);
// Adds it in the place of `old`, whose first output's users take the new value, and removes `old`. The other
// outputs of `old` must be unused. Returns the new node.
NodeId ReplaceNode(Graph& graph, NodeId old, Node node);
// All uses of the first output of `id` read `value` instead, and the node goes.
void Bypass(Graph& graph, NodeId id, ValueId value);
// The same where `value` now holds what `id` computed: it takes over the name as well, so that values of the
// same name are the same numbers before and after a pass.
void Absorb(Graph& graph, NodeId id, ValueId value);
// Removes `id` and what only it used, as far as nothing else is lost: producers whose outputs are all unused.
void RemoveUnused(Graph& graph, NodeId id);
// Sets input `i` of a node, growing its inputs with absent ones. Only for nodes without post-op operands and
// captures behind it.
void SetOptionalInput(Graph& graph, NodeId id, size_t i, ValueId value);

}  // namespace sluice
