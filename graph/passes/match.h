#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/operator.h"
#include "graph/passes/pass.h"

namespace sluice {

// What passes ask of a graph. A node with post-ops is no longer the plain operator that its type names,
// so it matches nothing here.

// A resolved operator of the standard domain without post-ops.
bool IsOp(const Node& node, std::string_view op_type);
// The producer of `value` if it is such a node and `value` its first output; null otherwise.
const Node* ProducerOp(const Graph& graph, ValueId value, std::string_view op_type);
// The producer of `value` if nothing but one node uses that value; kNone otherwise.
NodeId ExclusiveProducer(const Graph& graph, ValueId value);

// Input `i`, kNone where it is absent or fewer are given.
ValueId InputOf(const Node& node, size_t i);
// The name of the node's first output that is there.
std::string ResultName(const Graph& graph, const Node& node);
// Nobody uses the outputs behind the first.
bool OnlyFirstOutputUsed(const Graph& graph, const Node& node);

// Post-ops may be added to the node (see Operator::takes_post_ops): it has one used output, of a float type.
bool TakesPostOps(const Graph& graph, const Node& node);

// The elements of an int64 or int32 constant.
std::optional<std::vector<int64_t>> ConstantInts(const Graph& graph, ValueId value);
// A list that some versions of an operator take as an attribute and others as input `i`. Nothing if it is
// absent or not constant.
std::optional<std::vector<int64_t>> IntsOf(const Graph& graph, const Node& node, std::string_view attribute,
                                           size_t i);

bool IsFloatType(DataType type);
// The elements of a constant of any float type.
std::optional<std::vector<double>> ConstantFloats(const Graph& graph, const PassContext& ctx, ValueId value);
// The element of a float constant that has one.
std::optional<double> ConstantScalar(const Graph& graph, const PassContext& ctx, ValueId value);

// Rank, where it is known.
std::optional<size_t> RankOf(const Graph& graph, ValueId value);
// The type's sizes are the same for certain.
bool SameShape(const ValueType& a, const ValueType& b);
// `from` broadcasts to the shape `to` for certain, in one direction.
bool BroadcastsTo(const ValueType& from, const ValueType& to);

// A constant that broadcasts to a tensor of `rank` axes and varies along `axis` alone, where that has `size`
// elements: one number for each, so a scalar is repeated. Nothing if it is not so for certain.
std::optional<std::vector<double>> ConstantAlong(const Graph& graph, const PassContext& ctx, ValueId value,
                                                 size_t rank, size_t axis, int64_t size);

}  // namespace sluice
