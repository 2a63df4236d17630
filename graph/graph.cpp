#include "graph/graph.h"

#include <algorithm>

#include "graph/printable.h"
#include "sluice/error.h"

namespace sluice {
namespace {

size_t Index(ValueId id) { return static_cast<size_t>(id); }
size_t Index(NodeId id) { return static_cast<size_t>(id); }

}  // namespace

std::string Describe(const Node& node, std::string_view fallback_name) {
  const std::string_view name = node.name.empty() ? fallback_name : std::string_view(node.name);
  std::string text = Printable(node.domain.empty() ? node.op_type : node.domain + "." + node.op_type);
  if (!name.empty()) text += " '" + Printable(name) + "'";
  return text;
}

ValueId Graph::AddValue(std::string name, ValueType type) {
  values_.push_back({std::move(name), std::move(type), {}, NodeId::kNone, {}});
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::AddConstant(std::string name, Tensor tensor) {
  const ValueId id = AddValue(std::move(name), ValueType::Of(tensor.dtype(), ToSymShape(tensor.shape())));
  value(id).constant = std::move(tensor);
  return id;
}

NodeId Graph::AddNode(Node node) {
  const NodeId id = static_cast<NodeId>(nodes_.size());
  for (ValueId input : node.inputs) {
    if (input != ValueId::kNone) value(input).users.push_back(id);
  }
  for (ValueId output : node.outputs) {
    if (output == ValueId::kNone) continue;
    if (value(output).producer != NodeId::kNone || !value(output).constant.empty()) {
      throw Error(ErrorCode::kInvalidModel,
                  Describe(node) + ": value '" + value(output).name + "' already has a producer");
    }
    value(output).producer = id;
  }
  nodes_.push_back(std::make_unique<Node>(std::move(node)));
  alive_.push_back(true);
  return id;
}

void Graph::SetInput(NodeId node_id, size_t index, ValueId new_value) {
  ValueId& slot = node(node_id).inputs[index];
  if (slot != ValueId::kNone) {
    auto& users = value(slot).users;
    users.erase(std::find(users.begin(), users.end(), node_id));
  }
  slot = new_value;
  if (new_value != ValueId::kNone) value(new_value).users.push_back(node_id);
}

void Graph::AddInput(NodeId node_id, ValueId new_value) {
  node(node_id).inputs.push_back(ValueId::kNone);
  SetInput(node_id, node(node_id).inputs.size() - 1, new_value);
}

void Graph::ReplaceUses(ValueId old_value, ValueId new_value) {
  const std::vector<NodeId> users = value(old_value).users;
  for (NodeId user : users) {
    auto& slots = node(user).inputs;
    for (size_t i = 0; i < slots.size(); ++i) {
      if (slots[i] == old_value) SetInput(user, i, new_value);
    }
  }
  std::replace(outputs.begin(), outputs.end(), old_value, new_value);
}

void Graph::SetOutput(NodeId node_id, size_t index, ValueId new_value) {
  ValueId& slot = node(node_id).outputs[index];
  if (slot != ValueId::kNone) value(slot).producer = NodeId::kNone;
  slot = new_value;
  if (new_value != ValueId::kNone) value(new_value).producer = node_id;
}

void Graph::RemoveNode(NodeId node_id) {
  Node& removed = node(node_id);
  for (size_t i = 0; i < removed.inputs.size(); ++i) SetInput(node_id, i, ValueId::kNone);
  for (ValueId output : removed.outputs) {
    if (output != ValueId::kNone) value(output).producer = NodeId::kNone;
  }
  alive_[Index(node_id)] = false;
}

size_t Graph::num_nodes() const {
  return static_cast<size_t>(std::count(alive_.begin(), alive_.end(), true));
}

std::vector<NodeId> Graph::TopologicalOrder() const {
  std::vector<int> waiting(nodes_.size(), 0);
  std::vector<NodeId> order;
  order.reserve(nodes_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!alive_[i]) continue;
    for (ValueId input : nodes_[i]->inputs) {
      if (input != ValueId::kNone && value(input).producer != NodeId::kNone) ++waiting[i];
    }
  }
  // Kahn's algorithm over a heap of ready nodes, smallest id first.
  std::vector<size_t> ready;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (alive_[i] && waiting[i] == 0) ready.push_back(i);
  }
  std::make_heap(ready.begin(), ready.end(), std::greater<>());
  while (!ready.empty()) {
    std::pop_heap(ready.begin(), ready.end(), std::greater<>());
    const size_t next = ready.back();
    ready.pop_back();
    order.push_back(static_cast<NodeId>(next));
    for (ValueId output : nodes_[next]->outputs) {
      if (output == ValueId::kNone) continue;
      for (NodeId user : value(output).users) {
        if (--waiting[Index(user)] == 0) {
          ready.push_back(Index(user));
          std::push_heap(ready.begin(), ready.end(), std::greater<>());
        }
      }
    }
  }
  if (order.size() != num_nodes()) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (alive_[i] && waiting[i] > 0) {
        throw Error(ErrorCode::kInvalidModel, Describe(*nodes_[i]) + ": the graph has a cycle through this node");
      }
    }
  }
  return order;
}

bool Graph::IsOutput(ValueId id) const {
  return std::find(outputs.begin(), outputs.end(), id) != outputs.end();
}

NodeId Graph::SingleUser(ValueId id) const {
  const auto& users = value(id).users;
  return users.size() == 1 && !IsOutput(id) ? users[0] : NodeId::kNone;
}

void Graph::Compact() {
  std::vector<bool> used(values_.size(), false);
  const auto mark = [&](const std::vector<ValueId>& ids) {
    for (ValueId id : ids) {
      if (id != ValueId::kNone) used[Index(id)] = true;
    }
  };
  mark(inputs);
  mark(outputs);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!alive_[i]) continue;
    mark(nodes_[i]->inputs);
    mark(nodes_[i]->outputs);
  }
  std::vector<ValueId> value_map(values_.size(), ValueId::kNone);
  std::vector<GraphValue> values;
  for (size_t i = 0; i < values_.size(); ++i) {
    if (!used[i]) continue;
    value_map[i] = static_cast<ValueId>(values.size());
    values.push_back(std::move(values_[i]));
    values.back().users.clear();
    values.back().producer = NodeId::kNone;
  }
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) {
      if (id != ValueId::kNone) id = value_map[Index(id)];
    }
  };
  std::vector<std::unique_ptr<Node>> nodes;
  const auto old_nodes = std::move(nodes_);
  const auto old_alive = std::move(alive_);
  nodes_.clear();
  alive_.clear();
  values_ = std::move(values);
  renumber(inputs);
  renumber(outputs);
  for (size_t i = 0; i < old_nodes.size(); ++i) {
    if (!old_alive[i]) continue;
    renumber(old_nodes[i]->inputs);
    renumber(old_nodes[i]->outputs);
    AddNode(std::move(*old_nodes[i]));
  }
}

std::unique_ptr<Graph> Graph::Clone() const {
  auto copy = std::make_unique<Graph>();
  copy->name = name;
  copy->producer_name = producer_name;
  copy->producer_version = producer_version;
  copy->doc = doc;
  copy->ir_version = ir_version;
  copy->opsets = opsets;
  copy->metadata = metadata;
  copy->by_rows = by_rows;
  copy->inputs = inputs;
  copy->outputs = outputs;
  copy->values_ = values_;
  copy->alive_ = alive_;
  for (const auto& node : nodes_) {
    auto twin = std::make_unique<Node>(*node);
    for (const auto& [key, attribute] : node->attrs.all()) {
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute)) {
        twin->attrs.Set(key, std::shared_ptr<Graph>((*body)->Clone()));
      }
    }
    copy->nodes_.push_back(std::move(twin));
  }
  return copy;
}

}  // namespace sluice
