#include <algorithm>
#include <set>

#include "graph/passes/match.h"
#include "graph/passes/pass.h"
#include "graph/passes/passes.h"
#include "graph/verify.h"
#include "sluice/error.h"

namespace sluice {
namespace {

void RunOn(Graph& graph, const Pass& pass, PassContext& ctx) {
  for (size_t i = 0; i < graph.num_node_ids(); ++i) {
    if (!graph.alive(static_cast<NodeId>(i))) continue;
    for (const auto& [name, attribute] : graph.node(static_cast<NodeId>(i)).attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute)) RunOn(**nested, pass, ctx);
    }
  }
  pass.run(graph, ctx);
}

}  // namespace

void PassContext::Applied(const Graph& graph, const Node& node, std::string text) {
  notes.push_back({std::string(pass), Describe(node, ResultName(graph, node)), std::move(text), true});
}

void PassContext::Kept(const Graph& graph, const Node& node, std::string text) {
  Applied(graph, node, std::move(text));
  notes.back().applied = false;
}

std::span<const Pass> Pipeline() {
  static const Pass kPipeline[] = {
      kFoldConstants,
      // Sizes behind a choice are known only once it is none.
      kInlineBranches,
      kFoldConstants,
      kRemoveNoOps,
      kMergeEqual,
      // Transposes between an activation's nodes and between it and its input.
      kSinkTransposes,
      kRemoveNoOps,
      // Before factors are folded away that belong to an activation.
      kFindActivations,
      kFoldPads,
      kFoldAffine,
      // What is plain no longer matches once it has post-ops.
      kFusePostOps,
      kHoistActivations,
      kRemoveDead,
      kRunByRows,
  };
  return kPipeline;
}

void RunPasses(Graph& graph, std::span<const std::string> disabled, PassContext& ctx) {
  for (const std::string& name : disabled) {
    if (std::none_of(Pipeline().begin(), Pipeline().end(),
                     [&](const Pass& pass) { return pass.name == name; })) {
      std::set<std::string_view> names;
      for (const Pass& pass : Pipeline()) names.insert(pass.name);
      std::string known;
      for (std::string_view other : names) known += (known.empty() ? "" : ", ") + std::string(other);
      throw Error(ErrorCode::kInvalidArgument, "there is no pass '" + name + "'; there are " + known);
    }
  }
  for (const Pass& pass : Pipeline()) {
    if (std::find(disabled.begin(), disabled.end(), pass.name) != disabled.end()) continue;
    ctx.pass = pass.name;
    RunOn(graph, pass, ctx);
#ifndef NDEBUG
    Verify(graph);
#endif
  }
}

}  // namespace sluice
