#include "graph/gradient.h"

#include <algorithm>

#include "graph/gradient_rules.h"
#include "graph/operator.h"
#include "sluice/error.h"

namespace sluice {
namespace {

constexpr std::string_view kDomain = "ai.onnx.preview.training";
// Of the nodes made here.
constexpr int64_t kOpset = 17;

// Gone after import: it has no kernel.
const Operator kGradient = {
    .name = "Gradient",
    .versions = {1},
    .max_inputs = Operator::kMany,
    .max_outputs = Operator::kMany,
    .infer =
        [](InferContext& ctx) {
          for (int i = 0; i < ctx.num_outputs(); ++i) ctx.SetOutput(i, ctx.input(i));
        },
    .kernels = {},
    .domain = kDomain,
    .types = "float, double, float16, bfloat16",
};
const RegisterOperator kRegister(kGradient);

// Writes out one Gradient node.
class Expansion {
 public:
  Expansion(Graph& graph, NodeId id) : graph_(graph), id_(id), node_(graph.node(id)), build_(graph, kOpset) {
    build_.SetPrefix(node_.name);
    xs_ = Named(node_.attrs.Strings("xs", {}));
    y_ = Named({node_.attrs.String("y")})[0];
    std::vector<ValueId> given = xs_;
    for (ValueId z : Named(node_.attrs.Strings("zs", {}))) given.push_back(z);
    if (given.size() != node_.inputs.size()) {
      Fail("has " + std::to_string(node_.inputs.size()) + " inputs for " + std::to_string(given.size()) +
           " names in xs and zs");
    }
    if (node_.outputs.size() > xs_.size()) {
      Fail("has " + std::to_string(node_.outputs.size()) + " outputs for " + std::to_string(xs_.size()) +
           " names in xs");
    }
    copies_.assign(graph.num_values(), ValueId::kNone);
    depends_.assign(graph.num_values(), false);
    grads_.assign(graph.num_values(), ValueId::kNone);
    for (size_t i = 0; i < given.size(); ++i) {
      copies_[Index(given[i])] = node_.inputs[i];
      is_given_.push_back(given[i]);
    }
    for (ValueId x : xs_) depends_[Index(x)] = true;
  }

  // For each output of the node, the value that takes its place.
  std::vector<ValueId> Run() {
    const std::vector<NodeId> way = NodesBefore(y_);
    for (NodeId id : way) Forward(id);
    const ValueId y = ValueOf(y_);
    if (depends_[Index(y_)]) grads_[Index(y_)] = Filled(y, 1);
    for (auto id = way.rbegin(); id != way.rend(); ++id) Back(*id);
    std::vector<ValueId> results;
    for (size_t i = 0; i < node_.outputs.size(); ++i) {
      const ValueId grad = grads_[Index(xs_[i])];
      results.push_back(grad != ValueId::kNone ? grad : Filled(ValueOf(xs_[i]), 0));
    }
    return results;
  }

 private:
  static size_t Index(ValueId id) { return static_cast<size_t>(id); }
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kInvalidModel, Describe(node_) + ": " + what);
  }

  std::vector<ValueId> Named(const std::vector<std::string>& names) const {
    std::vector<ValueId> ids;
    for (const std::string& name : names) {
      size_t i = 0;
      while (i < graph_.num_values() && graph_.value(static_cast<ValueId>(i)).name != name) ++i;
      if (i == graph_.num_values()) Fail("the graph around it has no value '" + name + "'");
      ids.push_back(static_cast<ValueId>(i));
    }
    return ids;
  }
  bool IsGiven(ValueId id) const {
    return std::find(is_given_.begin(), is_given_.end(), id) != is_given_.end();
  }

  // The nodes that `value` depends on, up to the values that the node is given, in the order of computation.
  std::vector<NodeId> NodesBefore(ValueId value) const {
    std::vector<bool> needed(graph_.num_values());
    needed[Index(value)] = true;
    const std::vector<NodeId> order = graph_.TopologicalOrder();
    std::vector<NodeId> way;
    for (auto id = order.rbegin(); id != order.rend(); ++id) {
      const Node& node = graph_.node(*id);
      const auto makes = [&](ValueId output) {
        return output != ValueId::kNone && needed[Index(output)] && !IsGiven(output);
      };
      if (std::none_of(node.outputs.begin(), node.outputs.end(), makes)) continue;
      if (*id == id_) Fail("'" + graph_.value(value).name + "' depends on it");
      for (ValueId input : node.inputs) {
        if (input != ValueId::kNone) needed[Index(input)] = true;
      }
      way.push_back(*id);
    }
    std::reverse(way.begin(), way.end());
    return way;
  }

  ValueId ValueOf(ValueId id) const {
    return id == ValueId::kNone || Index(id) >= copies_.size() || copies_[Index(id)] == ValueId::kNone
               ? id
               : copies_[Index(id)];
  }
  std::vector<ValueId> ValuesOf(const std::vector<ValueId>& ids) const {
    std::vector<ValueId> values;
    for (ValueId id : ids) values.push_back(ValueOf(id));
    return values;
  }

  // Computes the node again if what the Gradient node is given differs from the graph's own values.
  void Forward(NodeId id) {
    const Node& node = graph_.node(id);
    const auto depends = [&](ValueId input) { return input != ValueId::kNone && depends_[Index(input)]; };
    if (std::any_of(node.inputs.begin(), node.inputs.end(), depends)) {
      for (ValueId output : node.outputs) {
        if (output != ValueId::kNone && !IsGiven(output)) depends_[Index(output)] = true;
      }
    }
    std::vector<ValueId> inputs = ValuesOf(node.inputs);
    if (inputs == node.inputs) return;
    Node copy = node;
    copy.inputs = std::move(inputs);
    copy.name = build_.prefix() + "/" + node.name;
    for (ValueId& output : copy.outputs) {
      if (output == ValueId::kNone) continue;
      const ValueId fresh = graph_.AddValue(build_.prefix() + "/" + graph_.value(output).name);
      if (!IsGiven(output)) copies_[Index(output)] = fresh;
      output = fresh;
    }
    graph_.AddNode(std::move(copy));
  }

  void Back(NodeId id) {
    const Node& node = graph_.node(id);
    std::vector<ValueId> grads;
    for (ValueId output : node.outputs) {
      const bool through = output != ValueId::kNone && !IsGiven(output) && depends_[Index(output)];
      grads.push_back(through ? grads_[Index(output)] : ValueId::kNone);
    }
    if (std::all_of(grads.begin(), grads.end(), [](ValueId grad) { return grad == ValueId::kNone; })) return;
    if (node.domain.empty() && IsLocallyConstant(node.op_type)) return;
    const GradientRule rule = node.domain.empty() ? FindGradientRule(node.op_type) : nullptr;
    if (rule == nullptr) {
      throw Error(ErrorCode::kUnsupported, Describe(node_) + ": there is no derivative of " + Describe(node));
    }
    StepBack step(build_, node, ValuesOf(node.inputs), ValuesOf(node.outputs), std::move(grads));
    rule(step);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != ValueId::kNone && depends_[Index(node.inputs[i])])
        Give(node.inputs[i], step.results[i]);
    }
  }

  // Adds to the derivative by a value.
  void Give(ValueId value, ValueId grad) {
    if (grad == ValueId::kNone) return;
    ValueId& sum = grads_[Index(value)];
    sum = sum == ValueId::kNone ? grad : build_.Op("Add", {sum, grad});
  }

  ValueId Filled(ValueId like, float number) {
    const ValueId value = build_.Op("CastLike", {build_.Scalar("number", number), like});
    return build_.Op("Expand", {value, build_.Op("Shape", {like})});
  }

  Graph& graph_;
  const NodeId id_;
  const Node& node_;
  GraphBuilder build_;
  std::vector<ValueId> xs_, is_given_;
  ValueId y_ = ValueId::kNone;
  // By value of the graph: what takes its place, whether it depends on one of xs, the derivative by it.
  std::vector<ValueId> copies_;
  std::vector<bool> depends_;
  std::vector<ValueId> grads_;
};

}  // namespace

void ExpandGradients(Graph& graph) {
  bool any = false;
  for (size_t i = 0; i < graph.num_node_ids(); ++i) {
    const Node& node = graph.node(static_cast<NodeId>(i));
    any = any || node.op == &kGradient;
    for (const auto& [name, attribute] : node.attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute)) ExpandGradients(**nested);
    }
  }
  if (!any) return;
  // One may be of values that another one computes.
  for (NodeId id : graph.TopologicalOrder()) {
    if (graph.node(id).op != &kGradient) continue;
    const std::map<std::string, int64_t> opsets = graph.opsets;
    const std::vector<ValueId> results = Expansion(graph, id).Run();
    graph.opsets = opsets;
    const std::vector<ValueId> outputs = graph.node(id).outputs;
    graph.RemoveNode(id);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] == ValueId::kNone) continue;
      const ResolvedOperator identity = FindOperator("", "Identity", kOpset);
      Node node;
      node.op_type = "Identity";
      node.name = graph.value(outputs[i]).name;
      node.op = identity.op;
      node.since_version = identity.since_version;
      node.inputs = {results[i]};
      node.outputs = {outputs[i]};
      graph.AddNode(std::move(node));
    }
  }
}

}  // namespace sluice
