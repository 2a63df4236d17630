#include "graph/verify.h"

#include <algorithm>

#include "graph/operator.h"
#include "sluice/error.h"

namespace sluice {
namespace {

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {}

  void Check() {
    for (ValueId id : graph_.inputs) CheckInput(id);
    for (ValueId id : graph_.outputs) CheckOutput(id);
    for (size_t i = 0; i < graph_.num_node_ids(); ++i) {
      const auto id = static_cast<NodeId>(i);
      if (graph_.alive(id)) CheckNode(id);
    }
    for (size_t i = 0; i < graph_.num_values(); ++i) CheckValue(static_cast<ValueId>(i));
    // 9. The graph has no cycle.
    graph_.TopologicalOrder();
  }

 private:
  [[noreturn]] void Fail(int invariant, const std::string& what) const {
    throw Error(ErrorCode::kInvalidModel, what + " (invariant " + std::to_string(invariant) + ")");
  }
  std::string Named(ValueId id) const { return "value '" + graph_.value(id).name + "'"; }

  // 1. Ids lie within the graph.
  void CheckId(ValueId id) const {
    if (static_cast<int32_t>(id) < 0 || static_cast<size_t>(id) >= graph_.num_values()) {
      Fail(1, "value id " + std::to_string(static_cast<int32_t>(id)) + " does not exist");
    }
  }

  // 2. A graph input has no producer, is no constant, and is listed once.
  void CheckInput(ValueId id) const {
    CheckId(id);
    const GraphValue& value = graph_.value(id);
    if (value.producer != NodeId::kNone || !value.constant.empty()) Fail(2, "input '" + value.name + "' is computed as well");
    if (std::count(graph_.inputs.begin(), graph_.inputs.end(), id) > 1) Fail(2, "input '" + value.name + "' is listed twice");
  }

  bool HasSource(ValueId id) const {
    const GraphValue& value = graph_.value(id);
    return value.producer != NodeId::kNone || !value.constant.empty() ||
           std::find(graph_.inputs.begin(), graph_.inputs.end(), id) != graph_.inputs.end();
  }

  // 3. Every graph output and every node input comes from a node, a constant or an input.
  void CheckOutput(ValueId id) const {
    CheckId(id);
    if (!HasSource(id)) Fail(3, "output '" + graph_.value(id).name + "' is not produced by anything");
  }

  void CheckNode(NodeId id) const {
    const Node& node = graph_.node(id);
    const std::string place = Describe(node);
    for (ValueId input : node.inputs) {
      if (input == ValueId::kNone) continue;
      CheckId(input);
      if (!HasSource(input)) Fail(3, place + ": input '" + graph_.value(input).name + "' is not produced by anything");
      // 4. A value knows each of its uses.
      const auto& users = graph_.value(input).users;
      if (std::count(users.begin(), users.end(), id) != std::count(node.inputs.begin(), node.inputs.end(), input)) {
        Fail(4, place + ": " + Named(input) + " does not know this use");
      }
    }
    // 5. A node has outputs and is the producer of each.
    if (node.outputs.empty()) Fail(5, place + ": has no outputs");
    for (ValueId output : node.outputs) {
      if (output == ValueId::kNone) continue;
      CheckId(output);
      if (graph_.value(output).producer != id) Fail(5, place + ": " + Named(output) + " has another producer");
    }
    // 6. A resolved node's version is one of its definition's.
    if (node.op != nullptr &&
        std::find(node.op->versions.begin(), node.op->versions.end(), node.since_version) == node.op->versions.end()) {
      Fail(6, place + ": version " + std::to_string(node.since_version) + " is none of the definition's");
    }
    // 7. Operands of post-ops are inputs of the node behind the operator's own.
    for (const PostOp& op : node.post_ops) {
      if (op.operand >= static_cast<int>(node.inputs.size()) - node.captures) Fail(7, place + ": post-op operand out of range");
    }
    CheckNested(node, place);
  }

  // 8. Nested graphs hold the invariants too and take the node's captured values as last inputs.
  void CheckNested(const Node& node, const std::string& place) const {
    if (node.captures < 0 || node.captures > static_cast<int>(node.inputs.size())) Fail(8, place + ": captures out of range");
    for (const auto& [name, attribute] : node.attrs.all()) {
      const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute);
      if (nested == nullptr) continue;
      if (*nested == nullptr) Fail(8, place + ": attribute '" + name + "' holds no graph");
      if (static_cast<int>((*nested)->inputs.size()) < node.captures) Fail(8, place + ": '" + name + "' takes too few inputs");
      Verify(**nested);
    }
  }

  // 4 and 5 from the value's side; 10. a constant has no producer.
  void CheckValue(ValueId id) const {
    const GraphValue& value = graph_.value(id);
    for (NodeId user : value.users) {
      if (!graph_.alive(user)) Fail(4, Named(id) + " is used by a node that is gone");
    }
    if (value.producer == NodeId::kNone) return;
    if (!value.constant.empty()) Fail(10, Named(id) + " is a constant with a producer");
    if (!graph_.alive(value.producer)) Fail(5, Named(id) + " comes from a node that is gone");
  }

  const Graph& graph_;
};

}  // namespace

void Verify(const Graph& graph) { Verifier(graph).Check(); }

}  // namespace sluice
