#include "kernels/kernel.h"

#include <algorithm>
#include <typeinfo>

#include "kernels/candidates.h"
#include "sluice/error.h"

namespace sluice {

PrepareContext::PrepareContext(const Node& node, std::vector<TensorDesc> inputs,
                               std::vector<const Tensor*> constants, std::vector<TensorDesc> outputs,
                               std::vector<bool> output_known, SubgraphMaker make_subgraph)
    : node_(node), num_inputs_(static_cast<int>(node.inputs.size()) - node.captures),
      inputs_(std::move(inputs)), constants_(std::move(constants)), outputs_(std::move(outputs)),
      output_known_(std::move(output_known)), make_subgraph_(std::move(make_subgraph)) {
  for (const PostOp& op : node.post_ops) {
    if (op.operand >= 0) num_inputs_ = std::min(num_inputs_, op.operand);
  }
  request_.input_layouts.assign(node.inputs.size(), Layout::kPlain);
  request_.output_layouts.assign(node.outputs.size(), Layout::kPlain);
  request_.shares_input.assign(node.outputs.size(), -1);
  request_.shares_offset.assign(node.outputs.size(), 0);
  request_.unread.assign(node.inputs.size(), false);
  request_.in_place.assign(node.outputs.size(), -1);
}

bool PrepareContext::has_input(int i) const {
  return i < num_inputs_ && node_.inputs[static_cast<size_t>(i)] != ValueId::kNone;
}

bool PrepareContext::has_output(int i) const {
  return i < num_outputs() && node_.outputs[static_cast<size_t>(i)] != ValueId::kNone;
}

void PrepareContext::Unsupported(const std::string& message) const {
  throw Error(ErrorCode::kUnsupported, Describe(node_) + ": " + message);
}

void PrepareContext::Fail(const std::string& message) const {
  throw Error(ErrorCode::kInvalidModel, Describe(node_) + ": " + message);
}

std::shared_ptr<SubgraphRunner> PrepareContext::Subgraph(std::string_view name) const {
  // While constants are folded there is nothing that runs nested graphs.
  if (!make_subgraph_) Unsupported("graphs inside of nodes are run by a session only");
  return make_subgraph_(attrs().Subgraph(name));
}

std::optional<PreparedStep> PrepareCandidate(const Node& node, size_t index,
                                             const std::function<PrepareContext()>& make_context,
                                             std::vector<std::string>& declined) {
  PreparedStep step;
  step.kernel = node.op->kernels.at(index)();
  PrepareContext ctx = make_context();
  try {
    step.kernel->Prepare(ctx);
  } catch (const Declined& reason) {
    declined.push_back(step.kernel->name() + ": " + reason.reason);
    return std::nullopt;
  } catch (const Error& error) {
    const std::string place = Describe(node);
    if (std::string_view(error.what()).starts_with(place)) throw;
    throw Error(error.code(), place + ": " + error.what());
  }
  step.request = ctx.request();
  for (int i = 0; i < ctx.num_outputs(); ++i) step.outputs.push_back(ctx.output(i));
  return step;
}

size_t CandidateOf(const Node& node, const Kernel& kernel) {
  for (size_t i = 0; i < node.op->kernels.size(); ++i) {
    const std::unique_ptr<Kernel> candidate = node.op->kernels[i]();
    const Kernel& other = *candidate;
    if (typeid(other) == typeid(kernel)) return i;
  }
  throw Error(ErrorCode::kInternal, Describe(node) + ": the kernel is none of its operator's candidates");
}

PreparedStep PrepareKernel(const Node& node, const std::function<PrepareContext()>& make_context) {
  std::vector<std::string> declined;
  for (size_t i = 0; i < node.op->kernels.size(); ++i) {
    if (auto step = PrepareCandidate(node, i, make_context, declined)) {
      step->declined = std::move(declined);
      return std::move(*step);
    }
  }
  std::string message = Describe(node) + ": no kernel for these types and shapes";
  for (const std::string& reason : declined) message += "; " + reason;
  throw Error(ErrorCode::kUnsupported, message);
}

}  // namespace sluice
