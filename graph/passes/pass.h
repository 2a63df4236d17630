#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace sluice {

// What a pass can use beside the graph, and where it reports.
class PassContext {
 public:
  // Runs one node on constants; empty result where that is not possible. Supplied by the runtime,
  // since kernels are out of reach here.
  using Evaluator = std::function<std::vector<Value>(const Node&, std::span<const Value>)>;

  struct Note {
    std::string pass;
    std::string place;
    std::string text;
    bool applied;
  };

  Evaluator evaluate;
  // Calls fn(0) to fn(count - 1), in any order and perhaps several at once; empty: one after the other. Supplied by
  // the runtime, which owns the threads.
  std::function<void(int64_t count, const std::function<void(int64_t)>& fn)> for_each;
  // Weights of float that folding multiplies stay products (graph/late_products.h), for a graph that is to be
  // written.
  bool late_products = false;
  std::vector<Note> notes;

  // The pass that runs now, for the notes.
  std::string_view pass;
  void Applied(const Graph& graph, const Node& node, std::string text);
  // Almost matched: `text` says why not.
  void Kept(const Graph& graph, const Node& node, std::string text);
};

// One rewrite of the graph. Matches fully before it edits. Returns whether anything changed.
struct Pass {
  std::string_view name;
  std::string_view summary;  // one line for `sluice inspect --fusions`
  bool (*run)(Graph&, PassContext&);
};

// All passes in the order in which they run (graph/passes/pipeline.cpp); some run more than once.
std::span<const Pass> Pipeline();

// Runs the pipeline but for `disabled` on the graph and its nested graphs. In debug builds (no NDEBUG)
// the graph is verified after each pass. Throws Error{kInvalidArgument} for an unknown name in `disabled`.
void RunPasses(Graph& graph, std::span<const std::string> disabled, PassContext& ctx);

}  // namespace sluice
