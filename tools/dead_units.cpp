#include "tools/dead_units.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/infer.h"
#include "graph/passes/match.h"
#include "graph/passes/pass.h"
#include "kernels/evaluate.h"
#include "runtime/cache_budget.h"
#include "runtime/cpu_quota.h"
#include "tools/elements.h"

namespace sluice::tools {
namespace {

// Passes that hide what goes into an activation or move it elsewhere.
const std::vector<std::string> kDisabled = {"fuse-post-ops", "hoist-activations", "sink-transposes",
                                            "merge-equal", "run-by-rows"};

PassContext ContextOfPasses() {
  PassContext ctx;
  ctx.evaluate = EvaluateOrNone;
  return ctx;
}

// "LeakyRelu(0.1)"; empty for other operators.
std::string Spelling(const Graph& graph, const PassContext& ctx, const Node& node) {
  if (IsOp(node, "Relu") || IsOp(node, "PRelu")) return node.op_type;
  if (IsOp(node, "LeakyRelu")) return fmt::format("LeakyRelu({:g})", node.attrs.Float("alpha", 0.01f));
  if (!IsOp(node, "Clip")) return {};
  const auto low = InputOf(node, 1) != ValueId::kNone ? ConstantScalar(graph, ctx, node.inputs[1])
                   : node.attrs.Has("min")            ? std::optional<double>(node.attrs.Float("min"))
                                                      : std::nullopt;
  return low == 0.0 ? "Clip" : "";
}

// Negative numbers come out with their sign.
bool KeepsSigns(const Graph& graph, const PassContext& ctx, const Node& node) {
  if (node.op_type == "LeakyRelu") return node.attrs.Float("alpha", 0.01f) > 0;
  if (node.op_type != "PRelu") return false;
  const auto slopes = ConstantFloats(graph, ctx, node.inputs[1]);
  return slopes && std::all_of(slopes->begin(), slopes->end(), [](double slope) { return slope > 0; });
}

// Behind a matrix product, be it through additions, the last axis holds the features.
bool BehindProduct(const Graph& graph, ValueId value) {
  for (int steps = 0; steps < 8 && value != ValueId::kNone; ++steps) {
    const NodeId producer = graph.value(value).producer;
    if (producer == NodeId::kNone) return false;
    const Node& node = graph.node(producer);
    if (node.op_type == "MatMul" || node.op_type == "Gemm") return true;
    if (node.op_type != "Add" && node.op_type != "BatchNormalization" && node.op_type != "LayerNormalization")
      return false;
    value = graph.IsConstant(node.inputs[0]) ? node.inputs[1] : node.inputs[0];
  }
  return false;
}

size_t ChannelAxis(const Shape& shape, bool last) {
  return shape.size() < 2 || last ? std::max<size_t>(shape.size(), 1) - 1 : 1;
}

}  // namespace

std::vector<int64_t> ActivationInput::never_fired() const {
  std::vector<int64_t> channels;
  for (size_t c = 0; c < fired.size(); ++c) {
    if (!fired[c]) channels.push_back(static_cast<int64_t>(c));
  }
  return channels;
}

DeadUnits::DeadUnits(std::unique_ptr<Graph> graph, bool passes, int threads)
    : pool_(
          ThreadPool::Get(std::clamp(threads > 0 ? threads : AvailableCpus(), 1, ThreadPool::kMaxThreads))) {
  InferShapes(*graph);
  if (passes) {
    PassContext ctx = ContextOfPasses();
    pool_->Run([&] { RunPasses(*graph, kDisabled, ctx); });
    InferShapes(*graph);
  }
  graph->Compact();
  Watch(*graph);
  constexpr int kPlans = 4;
  executable_ = std::make_unique<Executable>(std::shared_ptr<const Graph>(std::move(graph)), kPlans, false);
}

void DeadUnits::Watch(const Graph& graph) {
  const PassContext ctx = ContextOfPasses();
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    ActivationInput activation;
    activation.op = Spelling(graph, ctx, node);
    if (activation.op.empty() || graph.IsConstant(node.inputs[0])) continue;
    const std::string output = ResultName(graph, node);
    activation.node = node.name.empty() ? output : node.name;
    activation.value = graph.value(node.inputs[0]).name;
    inputs_.emplace(activation.value, activations_.size());
    const bool zeros = node.op_type == "Relu" || node.op_type == "Clip";
    if (zeros || KeepsSigns(graph, ctx, node)) outputs_.emplace(output, activations_.size());
    last_axis_.push_back(BehindProduct(graph, node.inputs[0]));
    activations_.push_back(std::move(activation));
  }
}

void DeadUnits::See(const ObservedValue& seen) {
  if (seen.value == nullptr || !seen.value->is_tensor()) return;
  const Tensor& tensor = seen.value->tensor();
  const auto count = [&](size_t i, bool output) {
    ActivationInput& activation = activations_[i];
    const bool zeros = output && (activation.op == "Relu" || activation.op == "Clip");
    activation.from_output |= output;
    if (tensor.num_elements() == 0) return;
    const Shape& shape = tensor.shape();
    const size_t axis = ChannelAxis(shape, last_axis_[i]);
    const int64_t channels = shape.empty() ? 1 : shape[axis];
    int64_t inner = 1;
    for (size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
    activation.fired.resize(std::max(activation.fired.size(), static_cast<size_t>(channels)));
    VisitNumbers(tensor, [&](auto values) {
      using T = typename decltype(values)::value_type;
      const auto line = static_cast<size_t>(inner);
      for (size_t begin = 0, c = 0; begin < values.size();
           begin += line, c = c + 1 == static_cast<size_t>(channels) ? 0 : c + 1) {
        int64_t negative = 0;
        bool fired = false;
        for (const T& value : values.subspan(begin, line)) {
          negative += zeros ? value <= T(0) : value < T(0);
          fired |= value > T(0);
        }
        activation.negative += negative;
        if (fired) activation.fired[c] = true;
      }
      activation.count += static_cast<int64_t>(values.size());
    });
  };
  for (auto [it, end] = inputs_.equal_range(seen.name); it != end; ++it) {
    count(it->second, false);
    seen_[it->second] = true;
  }
  for (auto [it, end] = outputs_.equal_range(seen.name); it != end; ++it) {
    if (!seen_[it->second]) count(it->second, true);
  }
}

void DeadUnits::Run(const std::vector<Value>& inputs) {
  seen_.assign(activations_.size(), false);
  const Graph& graph = executable_->graph();
  for (size_t i = 0; i < inputs.size() && i < graph.inputs.size(); ++i) {
    ObservedValue given;
    given.name = graph.value(graph.inputs[i]).name;
    given.value = &inputs[i];
    See(given);
  }
  pool_->Run([&] { executable_->Run(inputs, [this](const ObservedValue& seen) { See(seen); }); });
}

}  // namespace sluice::tools
