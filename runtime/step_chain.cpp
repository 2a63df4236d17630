#include "runtime/step_chain.h"

#include <algorithm>

#include "kernels/row_chain.h"

namespace sluice {
namespace {

// An operand like the output is read where the output is, which what lies between has no whole of.
bool HasOperands(const Node& node) {
  return std::any_of(node.post_ops.begin(), node.post_ops.end(),
                     [](const PostOp& op) { return op.operand >= 0; });
}

}  // namespace

bool JoinsByRows(const Step& step, const Node& node, const PreparedStep& next) {
  const StepRequest& request = next.request;
  return node.outputs.size() == 1 && !HasOperands(*step.node) && request.parts.empty() &&
         request.shares_input[0] < 0 && request.in_place[0] < 0 && RowChain::Pays(*step.kernel, *next.kernel);
}

Step JoinByRows(Step step, Step next) {
  std::unique_ptr<RowChain> chain =
      RowChain::Join(std::move(step.kernel), step.inputs.size(), std::move(next.kernel));
  step.earlier.push_back(step.node);
  step.node = next.node;
  step.scratch_bytes = chain->scratch_bytes();
  step.kernel = std::move(chain);
  step.declined.insert(step.declined.end(), next.declined.begin(), next.declined.end());
  step.inputs.insert(step.inputs.end(), next.inputs.begin(), next.inputs.end());
  step.outputs = std::move(next.outputs);
  return step;
}

}  // namespace sluice
