//   x --> Conv --> MaxPool --> y      stays, but the plan may run both a few rows at a time
//
// so that what lies between them never leaves the cache. Which steps gain depends on their sizes, kernels and
// the processor: runtime/step_chain.h decides. The pass is the switch.

#include "graph/passes/passes.h"

namespace sluice {
namespace {

bool Run(Graph& graph, PassContext&) {
  const bool changes = !graph.by_rows;
  graph.by_rows = true;
  return changes;
}

}  // namespace

const Pass kRunByRows = {"run-by-rows", "lets steps that follow each other run a few rows at a time", Run};

}  // namespace sluice
