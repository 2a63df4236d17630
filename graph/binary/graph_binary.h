#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "graph/binary/bytes.h"
#include "graph/graph.h"
#include "graph/import.h"

namespace sluice {

// A graph as it is in memory, optimized or not: post-ops, versions of operators and types of all values are
// kept. The elements of tensors other than strings are somewhere else, under numbers.

// The number under which the elements of this tensor, of at least one byte, are kept.
using NumberTensor = std::function<uint32_t(const Tensor&)>;
// The tensor of that number, type and shape. Throws Error{kInvalidModel} where there is none such.
// `may_lack_elements`: it is a constant of the outermost graph, so that whoever plans that graph knows who
// reads it.
using FindTensor = std::function<Tensor(uint32_t number, DataType type, Shape shape, bool may_lack_elements)>;

// Adds the nodes to `nodes` in the order in which they are written, those of nested graphs at the place of
// their node's attributes. The graph has no dead nodes.
void WriteGraph(const Graph& graph, const NumberTensor& number, ByteWriter& to,
                std::vector<const Node*>& nodes);

// Every operator is found by `lookup` in exactly the version that was written. The result holds the
// invariants of graph/verify.h, and post-ops are there only where passes may put them. `nodes` is filled as
// by WriteGraph. Throws Error{kInvalidModel}, Error{kUnsupported} for operators that are not known.
std::unique_ptr<Graph> ReadGraph(ByteReader& from, const FindTensor& find, const OperatorLookup& lookup,
                                 std::vector<const Node*>& nodes);

}  // namespace sluice
