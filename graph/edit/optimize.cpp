//   Conv --> BatchNormalization --> Max(x, 0.1 x)      becomes      Conv --> LeakyRelu(0.1)

#include "graph/edit/edits.h"
#include "graph/export.h"
#include "graph/infer.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace sluice {
namespace {

// Passes put other values in the place of outputs; whoever reads the model asks for the names.
void RestoreOutputNames(Graph& graph, const std::vector<std::string>& names) {
  const std::vector<ValueId> inputs = graph.inputs;
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const ValueId id = graph.outputs[i];
    if (graph.value(id).name == names[i]) continue;
    const bool shared = std::count(graph.outputs.begin(), graph.outputs.end(), id) > 1;
    if (!shared && graph.value(id).producer != NodeId::kNone) {
      graph.value(id).name = names[i];
    } else {
      // An input, a constant or a value that is another output too.
      graph.outputs[i] = AddOp(graph, MakeOp("Identity", 14, {id}), names[i]);
    }
  }
}

}  // namespace

void OptimizeForExport(Graph& graph, std::span<const std::string> disabled, int64_t opset, PassContext& ctx) {
  std::vector<std::string> names;
  for (ValueId id : graph.outputs) names.push_back(graph.value(id).name);
  RunPasses(graph, disabled, ctx);
  UnfusePostOps(graph, opset);
  InferShapes(graph);
  // Numbers of 16-bit types are written as a Cast of a float: that is a constant too.
  ForEachGraph(graph, [&](Graph& part) { kFoldConstants.run(part, ctx); });
  RestoreOutputNames(graph, names);
  graph.Compact();
}

}  // namespace sluice
