#include "tools/step_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

namespace sluice::tools {
namespace {

// As profiles call the step of a node.
std::string StepName(const Graph& graph, const Node& node) {
  if (!node.name.empty()) return node.name;
  for (ValueId id : node.outputs) {
    if (id != ValueId::kNone && !graph.value(id).name.empty()) return graph.value(id).name;
  }
  return {};
}

std::string StepLabel(const Node& node) {
  std::string label = node.op_type;
  for (const PostOp& post_op : node.post_ops) label += " + " + ToString(post_op);
  return label;
}

class Grouping {
 public:
  Grouping(const Graph& original, const Graph& optimized) : original_(original), optimized_(optimized) {
    for (NodeId id : original.TopologicalOrder()) {
      for (ValueId value : original.node(id).outputs) {
        if (value != ValueId::kNone) values_.emplace(original.value(value).name, value);
      }
    }
    for (NodeId id : optimized.TopologicalOrder()) {
      for (ValueId value : optimized.node(id).outputs) {
        if (value == ValueId::kNone) continue;
        const auto found = values_.find(optimized.value(value).name);
        if (found != values_.end()) ends_.insert(found->second);
      }
    }
    group_of_.assign(original.num_node_ids(), -1);
  }

  std::vector<StepGroup> Make() {
    const std::vector<NodeId> order = optimized_.TopologicalOrder();
    std::vector<StepGroup> groups(order.size());
    std::map<NodeId, size_t> place;
    for (size_t i = 0; i < order.size(); ++i) {
      const Node& node = optimized_.node(order[i]);
      place[order[i]] = i;
      groups[i].label = StepLabel(node);
      groups[i].steps = {StepName(optimized_, node)};
      if (const NodeId source = SourceOf(node); source != NodeId::kNone)
        groups[i].source = StepName(optimized_, optimized_.node(source));
      for (ValueId value : node.outputs) {
        if (value == ValueId::kNone) continue;
        const auto found = values_.find(optimized_.value(value).name);
        if (found != values_.end())
          Claim(original_.value(found->second).producer, static_cast<int>(i), groups[i].members);
      }
    }
    // Steps whose values are no values of the model, as those of moved transposes: a part of what reads them.
    for (size_t i = order.size(); i-- > 0;) {
      if (!groups[i].members.empty()) continue;
      if (StepGroup* user = UserOf(order[i], groups, place)) {
        user->label = groups[i].label + ", " + user->label;
        user->steps.insert(user->steps.begin(), groups[i].steps.begin(), groups[i].steps.end());
      }
    }
    std::erase_if(groups, [](const StepGroup& group) { return group.members.empty(); });
    for (NodeId id : original_.TopologicalOrder()) {
      if (group_of_[static_cast<size_t>(id)] < 0)
        groups.push_back({.label = original_.node(id).op_type, .members = {id}});
    }
    for (StepGroup& group : groups) std::sort(group.members.begin(), group.members.end());
    return groups;
  }

 private:
  // The node and those before it, up to values at which other steps end.
  void Claim(NodeId first, int group, std::vector<NodeId>& members) {
    std::vector<NodeId> waiting = {first};
    while (!waiting.empty()) {
      const NodeId id = waiting.back();
      waiting.pop_back();
      if (id == NodeId::kNone || group_of_[static_cast<size_t>(id)] >= 0) continue;
      group_of_[static_cast<size_t>(id)] = group;
      members.push_back(id);
      for (ValueId input : original_.node(id).inputs) {
        if (input != ValueId::kNone && ends_.count(input) == 0)
          waiting.push_back(original_.value(input).producer);
      }
    }
  }

  NodeId SourceOf(const Node& node) const {
    if (node.inputs.empty() || node.inputs[0] == ValueId::kNone) return NodeId::kNone;
    return optimized_.value(node.inputs[0]).producer;
  }

  StepGroup* UserOf(NodeId id, std::vector<StepGroup>& groups, const std::map<NodeId, size_t>& place) {
    for (ValueId value : optimized_.node(id).outputs) {
      if (value == ValueId::kNone) continue;
      for (NodeId user : optimized_.value(value).users) {
        StepGroup& group = groups[place.at(user)];
        if (!group.members.empty()) return &group;
      }
    }
    return nullptr;
  }

  const Graph& original_;
  const Graph& optimized_;
  std::unordered_map<std::string, ValueId> values_;  // of the original that nodes compute
  std::set<ValueId> ends_;                           // of the original that steps end at
  std::vector<int> group_of_;                        // by node of the original
};

// Of "Conv + Clip(0, 6), MaxPool": 2.
int64_t OperatorsOf(const std::string& op) {
  int64_t count = 1;
  int depth = 0;
  for (const char c : op) {
    depth += (c == '(') - (c == ')');
    count += c == ',' && depth == 0;
  }
  return count;
}

// Puts the group that the other reads into it, if there is one.
void TakeSource(StepGroup& group, std::vector<StepGroup>& groups) {
  const auto source = std::find_if(groups.begin(), groups.end(), [&](const StepGroup& other) {
    return &other != &group && !other.steps.empty() && other.steps.back() == group.source;
  });
  if (group.source.empty() || source == groups.end()) return;
  group.label = source->label + ", " + group.label;
  group.steps.insert(group.steps.begin(), source->steps.begin(), source->steps.end());
  group.members.insert(group.members.end(), source->members.begin(), source->members.end());
  std::sort(group.members.begin(), group.members.end());
  group.source = source->source;
  source->members.clear();
  source->steps.clear();
}

}  // namespace

std::vector<StepGroup> GroupBySteps(const Graph& original, const Graph& optimized) {
  return Grouping(original, optimized).Make();
}

OtherSteps AddTimes(std::span<const StepTime> times, std::vector<StepGroup>& groups) {
  std::multimap<std::string, const StepTime*> by_name;
  for (const StepTime& time : times) by_name.emplace(time.node, &time);
  for (StepGroup& group : groups) {
    double slowest = -1;
    int64_t operators = 1;
    for (const std::string& step : group.steps) {
      const auto found = by_name.find(step);
      if (found == by_name.end()) continue;
      const StepTime& time = *found->second;
      group.ms = std::max(group.ms, 0.0) + time.ms;
      if (time.ms > slowest) group.kernel = time.kernel;
      slowest = std::max(slowest, time.ms);
      if (step == group.steps.back()) operators = OperatorsOf(time.op);
      by_name.erase(found);
    }
    for (; operators > 1; --operators) TakeSource(group, groups);
  }
  std::erase_if(groups, [](const StepGroup& group) { return group.members.empty(); });
  OtherSteps others;
  for (const auto& [name, time] : by_name) {
    ++others.count;
    others.ms += time->ms;
  }
  return others;
}

}  // namespace sluice::tools
