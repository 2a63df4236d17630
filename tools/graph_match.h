#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace sluice::tools {

// Which nodes of two graphs correspond, and how those pairs differ.
struct GraphMatch {
  struct Pair {
    NodeId a, b;
    std::vector<std::string> differences;  // "alpha 0.1, there 0.2"; sizes of outputs are not among them
  };
  std::vector<Pair> pairs;  // in order
  std::vector<NodeId> only_a, only_b;
};

// By the names of values and nodes where most nodes have them in common, and otherwise by an alignment in
// topological order in which the same operators, names and shapes count.
GraphMatch MatchGraphs(const Graph& a, const Graph& b);

// "[3, 3]", "0.1", "float [64, 3, 3, 3]", "graph of 12 nodes".
std::string DescribeAttribute(const Attribute& attribute);

}  // namespace sluice::tools
