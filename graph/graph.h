#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graph/attributes.h"
#include "graph/dim.h"
#include "graph/post_op.h"
#include "sluice/tensor.h"

namespace sluice {

struct Operator;

enum class ValueId : int32_t { kNone = -1 };
enum class NodeId : int32_t { kNone = -1 };

// A use of an operator. Inputs that an operator leaves out are ValueId::kNone.
struct Node {
  std::string op_type;
  std::string domain;  // "" is ai.onnx
  std::string name;    // may be empty
  // The definition that the model's opset selects and the version of it; null before resolution.
  const Operator* op = nullptr;
  int since_version = 0;

  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Attributes attrs;
  std::vector<PostOp> post_ops;
  // The last `captures` inputs are values of enclosing graphs that subgraphs read. Every subgraph of
  // the node takes all of them as its own last inputs, in this order.
  int captures = 0;
};

// "Conv 'stem/conv1'"; the first output's name stands in for a missing node name when given.
std::string Describe(const Node& node, std::string_view fallback_name = {});

// An edge: produced by one node, or a graph input, or a constant.
struct GraphValue {
  std::string name;
  ValueType type;
  Tensor constant;                     // not empty: known at load
  NodeId producer = NodeId::kNone;
  std::vector<NodeId> users;           // one entry for every use, so a node may occur twice
};

// A model's operators and values. Ids stay valid until Compact(). Editing keeps producer and users
// right; nothing else writes them. Not thread-safe; subgraphs are owned by their node's attribute.
class Graph {
 public:
  ValueId AddValue(std::string name, ValueType type = {});
  ValueId AddConstant(std::string name, Tensor tensor);
  // Takes the node's inputs and outputs as they stand; outputs must have no producer yet.
  NodeId AddNode(Node node);
  void SetInput(NodeId node, size_t index, ValueId value);
  void AddInput(NodeId node, ValueId value);
  // Uses by nodes and graph outputs alike.
  void ReplaceUses(ValueId old_value, ValueId new_value);
  // Makes `value` the output of `node` at `index` instead of the present one, which loses its producer.
  void SetOutput(NodeId node, size_t index, ValueId value);
  // The node's outputs lose their producer; they must not be used any more.
  void RemoveNode(NodeId node);
  bool alive(NodeId node) const { return alive_[static_cast<size_t>(node)]; }

  Node& node(NodeId id) { return *nodes_[static_cast<size_t>(id)]; }
  const Node& node(NodeId id) const { return *nodes_[static_cast<size_t>(id)]; }
  GraphValue& value(ValueId id) { return values_[static_cast<size_t>(id)]; }
  const GraphValue& value(ValueId id) const { return values_[static_cast<size_t>(id)]; }
  size_t num_values() const { return values_.size(); }
  // Upper bound of node ids; some may be dead.
  size_t num_node_ids() const { return nodes_.size(); }
  size_t num_nodes() const;

  // Live nodes, producers before users; ties in order of addition. Throws Error{kInvalidModel} that
  // names a node of the cycle, if there is one.
  std::vector<NodeId> TopologicalOrder() const;
  bool IsOutput(ValueId value) const;
  // The only user of a value that is no graph output; kNone otherwise.
  NodeId SingleUser(ValueId value) const;
  bool IsConstant(ValueId value) const {
    return value != ValueId::kNone && !this->value(value).constant.empty();
  }
  // Drops dead nodes and values that nothing uses, and renumbers.
  void Compact();
  // Nodes and values are copied, tensors and nested subgraphs' tensors are shared.
  std::unique_ptr<Graph> Clone() const;

  std::string name;
  std::string producer_name;
  std::string producer_version;
  std::string doc;
  int64_t ir_version = 0;
  std::map<std::string, int64_t> opsets;       // domain -> version
  std::map<std::string, std::string> metadata;
  bool by_rows = false;                        // steps may run a few rows at a time with the next one
  std::vector<ValueId> inputs;                 // without initializers; a subgraph's captures last
  std::vector<ValueId> outputs;

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<bool> alive_;
  std::vector<GraphValue> values_;
};

}  // namespace sluice
