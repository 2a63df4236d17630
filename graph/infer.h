#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace sluice {

// What an operator's shape inference sees and sets. Views are valid during the call only.
class InferContext {
 public:
  // inputs[i] is null for an absent input; constants[i] is null where the elements are not known.
  InferContext(const Node& node, std::vector<const ValueType*> inputs,
               std::vector<const Tensor*> constants);

  const Node& node() const { return node_; }
  const Attributes& attrs() const { return node_.attrs; }
  int since_version() const { return node_.since_version; }
  // Without captured values and post-op operands.
  int num_inputs() const { return num_inputs_; }
  bool has_input(int i) const { return i < num_inputs_ && inputs_[i] != nullptr; }
  // Throws Error{kInvalidModel} for an absent input.
  const ValueType& input(int i) const;
  DataType dtype(int i) const { return input(i).dtype; }
  const SymShape& shape(int i) const { return input(i).shape; }
  int64_t rank(int i) const { return static_cast<int64_t>(shape(i).size()); }
  // Null unless the elements are known.
  const Tensor* constant(int i) const { return has_input(i) ? constants_[i] : nullptr; }
  // The elements of an int64 or int32 constant; nothing unless known.
  std::optional<std::vector<int64_t>> ConstantInts(int i) const;
  // Types of the captured values, in order (for nodes with subgraphs).
  std::vector<ValueType> captures() const;

  int num_outputs() const { return static_cast<int>(node_.outputs.size()); }
  // Ignored for outputs that the node does not name.
  void SetOutput(int i, DataType dtype, SymShape shape);
  void SetOutput(int i, ValueType type);
  // Element type known, shape left to the run.
  void SetUnknownShape(int i, DataType dtype);
  const std::vector<ValueType>& outputs() const { return outputs_; }

  // -rank <= axis < rank, made non-negative; fails otherwise.
  int64_t Axis(int64_t axis, int64_t rank) const;
  // The numpy-style broadcast of the inputs' shapes; fails where they do not fit.
  SymShape Broadcast(const SymShape& a, const SymShape& b) const;
  // Throws Error{kInvalidModel}: "Conv 'name': " + message.
  [[noreturn]] void Fail(const std::string& message) const;

 private:
  const Node& node_;
  int num_inputs_;
  std::vector<const ValueType*> inputs_;
  std::vector<const Tensor*> constants_;
  std::vector<ValueType> outputs_;
};

// How often used inference rules are spelled.
void InferSameAsFirst(InferContext& ctx);     // output 0 has the type of input 0
void InferBroadcast(InferContext& ctx);       // element type of input 0, broadcast of all inputs
void InferBroadcastBool(InferContext& ctx);   // bool, broadcast of all inputs

// Types of one node's outputs; all unknown where an input's rank or element type is unknown.
// Checks the number of inputs and outputs against the definition.
std::vector<ValueType> InferNode(const Node& node, std::vector<const ValueType*> inputs,
                                 std::vector<const Tensor*> constants);

// Infers all values of the graph in place, where what the model states is kept if inference knows
// less and checked if it knows as much. Throws Error{kInvalidModel}.
void InferShapes(Graph& graph);

}  // namespace sluice
