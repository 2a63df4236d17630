#pragma once

#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "sluice/session.h"

namespace sluice::tools {

// What one step of a plan does, in terms of the model as it is written.
struct StepGroup {
  std::string label;                    // "Conv + LeakyRelu(0.1)"
  std::vector<std::string> steps = {};  // their names, as profiles call them; none for nodes that no step computes
  std::vector<NodeId> members = {};     // nodes of the original graph, at least one
  std::string source = {};              // the step that makes what the last of them reads first; empty: none does
  std::string kernel = {};              // of the slowest of its steps, where there are times
  double ms = -1;                       // -1: not measured
};

// Every live node of `original` is in exactly one group. `optimized` is what the passes made of it; values
// that both graphs have by the same name are where steps begin and end. Groups are in the order of the steps.
std::vector<StepGroup> GroupBySteps(const Graph& original, const Graph& optimized);

// Time of steps that belong to no group: changes of layout.
struct OtherSteps {
  int64_t count = 0;
  double ms = 0;
};

// Steps are told apart by their names and, among those of one name, by their order.
struct StepTime {
  std::string node, kernel;
  double ms = 0;
  std::string op = {};  // "Conv + LeakyRelu(0.1)", or several, "Conv, MaxPool", that ran a few rows at a time
};
// Groups of several operators that ran as one step become one, in the last one's place.
OtherSteps AddTimes(std::span<const StepTime> times, std::vector<StepGroup>& groups);

// Of a file that `sluice bench` wrote, with --profile (a trace of one run) or --json (means of all runs).
// Throws Error{kInvalidArgument} that names the file.
std::vector<StepTime> ReadStepTimes(const std::string& path);
// Of runs of one session: the median of each step, so that a run which the system held up does not show.
std::vector<StepTime> StepTimesOf(std::span<const std::vector<StepProfile>> runs);

}  // namespace sluice::tools
