#include "tools/graph_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/terminal.h"
#include "tools/weight_facts.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

// "1×64×52×52", "N×3×?×?"; empty where it is not known.
std::string ShortShape(const ValueType& type) {
  if (type.kind != ValueType::Kind::kTensor || !type.has_shape) return {};
  if (type.shape.empty()) return "scalar";
  std::string text;
  for (const Dim& dim : type.shape) {
    if (!text.empty()) text += "×";
    text += dim.known() ? std::to_string(dim.value()) : dim.symbol().empty() ? "?" : dim.symbol();
  }
  return text;
}

Json ValueRow(const GraphValue& value) {
  return Json::array({value.name, value.constant.empty()
                                      ? ToString(value.type)
                                      : fmt::format("{} {}", DataTypeName(value.constant.dtype()),
                                                    ToString(value.constant.shape()))});
}

// The operators of a nested graph: "Conv 2, Add 1".
std::string ListOperators(const Graph& graph) {
  std::map<std::string, int> counts;
  for (NodeId id : graph.TopologicalOrder()) ++counts[graph.node(id).op_type];
  std::string text;
  for (const auto& [op, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", op, count);
  return text;
}

Json NodeJson(const Graph& graph, const Node& node) {
  Json json = {{"op", node.op_type}, {"name", node.name}};
  if (!node.domain.empty()) json["domain"] = node.domain;
  Json inputs = Json::array(), outputs = Json::array(), attributes = Json::array(), weights = Json::array();
  for (ValueId id : node.inputs) {
    if (id == ValueId::kNone) continue;
    const GraphValue& value = graph.value(id);
    if (value.constant.empty()) {
      inputs.push_back(ValueRow(value));
      continue;
    }
    Json facts = Json::array();
    for (const auto& [word, text] : WeightFacts(value.constant)) facts.push_back({word, text});
    weights.push_back({{"name", value.name}, {"type", ValueRow(value)[1]}, {"facts", std::move(facts)}});
  }
  for (ValueId id : node.outputs) {
    if (id == ValueId::kNone) continue;
    outputs.push_back(ValueRow(graph.value(id)));
    if (!json.contains("shape")) json["shape"] = ShortShape(graph.value(id).type);
    if (node.name.empty() && json["name"] == "") json["name"] = graph.value(id).name;
  }
  for (const auto& [name, attribute] : node.attrs.all()) {
    std::string text = DescribeAttribute(attribute);
    if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute))
      text += ": " + ListOperators(**nested);
    attributes.push_back({name, text});
  }
  if (node.since_version > 0) attributes.push_back({"operator version", std::to_string(node.since_version)});
  if (!inputs.empty()) json["inputs"] = std::move(inputs);
  if (!outputs.empty()) json["outputs"] = std::move(outputs);
  if (!attributes.empty()) json["attributes"] = std::move(attributes);
  if (!weights.empty()) json["weights"] = std::move(weights);
  return json;
}

Json PortJson(const char* op, const GraphValue& value) {
  return {{"op", op},
          {"name", value.name},
          {"shape", ShortShape(value.type)},
          {op[0] == 'I' ? "outputs" : "inputs", Json::array({ValueRow(value)})}};
}

}  // namespace

GraphJson::GraphJson(const Graph& graph, std::span<const StepGroup> groups) {
  json = {{"nodes", Json::array()}, {"groups", Json::array()}, {"edges", Json::array()}};
  AddNodes(graph);
  AddEdges(graph);
  AddGroups(groups);
}

void GraphJson::AddNodes(const Graph& graph) {
  Json& nodes = json["nodes"];
  for (ValueId id : graph.inputs) nodes.push_back(PortJson("Input", graph.value(id)));
  for (NodeId id : graph.TopologicalOrder()) {
    places_[id] = static_cast<int>(nodes.size());
    nodes.push_back(NodeJson(graph, graph.node(id)));
  }
  first_output_ = static_cast<int>(nodes.size());
  for (ValueId id : graph.outputs) nodes.push_back(PortJson("Output", graph.value(id)));
}

void GraphJson::AddEdges(const Graph& graph) {
  std::map<ValueId, int> sources;
  for (size_t i = 0; i < graph.inputs.size(); ++i) sources[graph.inputs[i]] = input(i);
  for (const auto& [id, place] : places_) {
    for (ValueId value : graph.node(id).outputs) sources[value] = place;
  }
  const auto add = [&](ValueId value, int to) {
    const auto from = sources.find(value);
    if (from != sources.end()) json["edges"].push_back({from->second, to});
  };
  for (const auto& [id, place] : places_) {
    for (ValueId value : graph.node(id).inputs) {
      if (value != ValueId::kNone) add(value, place);
    }
  }
  for (size_t i = 0; i < graph.outputs.size(); ++i) add(graph.outputs[i], output(i));
}

void GraphJson::AddGroups(std::span<const StepGroup> groups) {
  double total = 0;
  for (const StepGroup& group : groups) total += std::max(group.ms, 0.0);
  Json& list = json["groups"];
  const auto lone = [&](int node) {
    list.push_back(
        {{"label", json["nodes"][static_cast<size_t>(node)]["op"]}, {"members", Json::array({node})}});
  };
  for (int node = 0; node < static_cast<int>(json["nodes"].size()); ++node) {
    if (places_.empty() || node < places_.begin()->second) lone(node);
    if (node >= first_output_) lone(node);
  }
  for (const StepGroup& group : groups) {
    Json members = Json::array();
    for (NodeId id : group.members) members.push_back(place(id));
    Json one = {{"label", group.label}, {"members", std::move(members)}};
    if (!group.steps.empty()) one["name"] = group.steps[0];
    if (!group.kernel.empty()) one["kernel"] = group.kernel;
    if (group.ms >= 0) {
      one["ms"] = group.ms;
      one["time"] = fmt::format("{} · {:.1f} %", FormatMs(group.ms), total > 0 ? 100 * group.ms / total : 0);
    }
    list.push_back(std::move(one));
  }
}

std::string MarkDifferences(const Graph& a, GraphJson& left, const Graph& b, GraphJson& right) {
  const GraphMatch match = MatchGraphs(a, b);
  int64_t changed = 0;
  const auto pair = [&](int i, int j, std::vector<std::string> differences) {
    Json& one = left.json["nodes"][static_cast<size_t>(i)];
    Json& other = right.json["nodes"][static_cast<size_t>(j)];
    one["partner"] = j;
    other["partner"] = i;
    const bool differ = !differences.empty();
    changed += differ;
    if (one.value("shape", "") != other.value("shape", "")) {
      const std::string shape =
          fmt::format("output {}, there {}", one.value("shape", ""), other.value("shape", ""));
      differences.push_back(shape);
    }
    for (Json* node : {&one, &other}) {
      if (differ) (*node)["mark"] = "changed";
      if (!differences.empty()) (*node)["differences"] = differences;
    }
  };
  for (const GraphMatch::Pair& found : match.pairs)
    pair(left.place(found.a), right.place(found.b), found.differences);
  const auto ports = [&](const std::vector<ValueId>& x, const std::vector<ValueId>& y, bool inputs) {
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      const GraphValue &one = a.value(x[i]), &other = b.value(y[i]);
      std::vector<std::string> differences;
      if (one.name != other.name)
        differences.push_back(fmt::format("called {}, there {}", one.name, other.name));
      if (ToString(one.type) != ToString(other.type)) {
        differences.push_back(fmt::format("{}, there {}", ToString(one.type), ToString(other.type)));
      }
      pair(inputs ? left.input(i) : left.output(i), inputs ? right.input(i) : right.output(i), differences);
    }
  };
  ports(a.inputs, b.inputs, true);
  ports(a.outputs, b.outputs, false);
  const auto only = [](GraphJson& json, int node) {
    json.json["nodes"][static_cast<size_t>(node)]["mark"] = "only";
  };
  for (NodeId id : match.only_a) only(left, left.place(id));
  for (NodeId id : match.only_b) only(right, right.place(id));
  for (size_t i = b.outputs.size(); i < a.outputs.size(); ++i) only(left, left.output(i));
  for (size_t i = a.outputs.size(); i < b.outputs.size(); ++i) only(right, right.output(i));
  for (size_t i = b.inputs.size(); i < a.inputs.size(); ++i) only(left, left.input(i));
  for (size_t i = a.inputs.size(); i < b.inputs.size(); ++i) only(right, right.input(i));
  return fmt::format("{} nodes differ, {} only in the first model, {} only in the second", changed,
                     match.only_a.size(), match.only_b.size());
}

}  // namespace sluice::tools
