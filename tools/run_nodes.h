#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "sluice/tensor.h"

namespace sluice::tools {

// Outputs of a run of the graph as it is written, node after node: values live until their last use and
// packed weights as long as their node runs, so that memory for the weights is needed once. Takes constants
// out of the graph as it goes. Throws what kernels throw.
std::vector<Value> RunAsWritten(std::unique_ptr<Graph> graph, const std::vector<Value>& inputs);

// Such a run that goes on where a node fails, as far as values are known without it. Returns, by name,
// computed outputs, values that nodes without a result would read, and those that are `wanted`. Requires a
// graph without nested ones.
std::map<std::string, Value> RunAsFarAsPossible(std::unique_ptr<Graph> graph,
                                                const std::vector<Value>& inputs,
                                                const std::set<std::string>& wanted = {});

bool HasNestedGraphs(const Graph& graph);

}  // namespace sluice::tools
