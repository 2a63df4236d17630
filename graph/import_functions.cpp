#include "graph/import_functions.h"

#include <algorithm>

#include "sluice/error.h"

namespace sluice {
namespace {

using sluice_onnx::AttributeProto;
using sluice_onnx::FunctionProto;
using sluice_onnx::GraphProto;
using sluice_onnx::NodeProto;

constexpr int kMaxDepth = 64;
constexpr int64_t kMaxNodes = 1'000'000;
constexpr int64_t kMaxCopiedBytes = int64_t{1} << 30;

std::string Normal(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

// Renames the values of one call and fills in its attributes.
class Call {
 public:
  Call(const FunctionProto& function, const NodeProto& call, const std::string& prefix) : prefix_(prefix) {
    const std::string place = "call '" + call.name() + "' of function '" + function.name() + "'";
    if (call.input_size() > function.input_size() || call.output_size() > function.output_size()) {
      throw Error(ErrorCode::kInvalidModel, place + ": more inputs or outputs than the function has");
    }
    // What the caller leaves out is absent inside.
    for (int i = 0; i < function.input_size(); ++i) {
      names_[function.input(i)] = i < call.input_size() ? call.input(i) : "";
    }
    for (int i = 0; i < function.output_size(); ++i) {
      if (i >= call.output_size() || call.output(i).empty()) continue;
      const auto [entry, added] = names_.emplace(function.output(i), call.output(i));
      if (!added) passed_through_.emplace_back(entry->second, call.output(i));
    }
    for (const AttributeProto& attribute : function.attribute_proto()) attributes_[attribute.name()] = &attribute;
    for (const AttributeProto& attribute : call.attribute()) attributes_[attribute.name()] = &attribute;
  }

  std::unique_ptr<NodeProto> Instantiate(const NodeProto& node) {
    auto copy = std::make_unique<NodeProto>(node);
    Rename(*copy);
    return copy;
  }

  // Inputs of the function that are its outputs as well: from, to.
  const std::vector<std::pair<std::string, std::string>>& passed_through() const { return passed_through_; }

 private:
  std::string Renamed(const std::string& name) {
    if (name.empty()) return name;
    const auto [entry, added] = names_.try_emplace(name, prefix_ + name);
    return entry->second;
  }

  void Rename(NodeProto& node) {
    if (!node.name().empty()) node.set_name(prefix_ + node.name());
    for (std::string& name : *node.mutable_input()) name = Renamed(name);
    for (std::string& name : *node.mutable_output()) name = Renamed(name);
    google::protobuf::RepeatedPtrField<AttributeProto> kept;
    for (AttributeProto& attribute : *node.mutable_attribute()) {
      if (!attribute.ref_attr_name().empty()) {
        const auto given = attributes_.find(attribute.ref_attr_name());
        if (given == attributes_.end()) continue;  // absent at the call and without default: absent here
        std::string name = attribute.name();
        attribute = *given->second;
        attribute.set_name(name);
      } else {
        if (attribute.has_g()) Rename(*attribute.mutable_g());
        for (GraphProto& graph : *attribute.mutable_graphs()) Rename(graph);
      }
      *kept.Add() = std::move(attribute);
    }
    node.mutable_attribute()->Swap(&kept);
  }

  // Names of a nested graph stay apart from the caller's as well.
  void Rename(GraphProto& graph) {
    for (auto& value : *graph.mutable_input()) value.set_name(Renamed(value.name()));
    for (auto& value : *graph.mutable_output()) value.set_name(Renamed(value.name()));
    for (auto& value : *graph.mutable_value_info()) value.set_name(Renamed(value.name()));
    for (auto& tensor : *graph.mutable_initializer()) tensor.set_name(Renamed(tensor.name()));
    for (auto& tensor : *graph.mutable_sparse_initializer()) {
      tensor.mutable_values()->set_name(Renamed(tensor.values().name()));
    }
    for (NodeProto& node : *graph.mutable_node()) Rename(node);
  }

  std::string prefix_;
  std::map<std::string, std::string> names_;
  std::map<std::string, const AttributeProto*> attributes_;
  std::vector<std::pair<std::string, std::string>> passed_through_;
};

}  // namespace

OpsetMap ReadOpsets(const google::protobuf::RepeatedPtrField<sluice_onnx::OperatorSetIdProto>& imports) {
  OpsetMap opsets;
  for (const auto& import : imports) {
    if (import.version() < 1) {
      throw Error(ErrorCode::kInvalidModel, "opset of domain '" + import.domain() + "' is " +
                                                std::to_string(import.version()) + ", expected at least 1");
    }
    int64_t& version = opsets[Normal(import.domain())];
    version = std::max<int64_t>(version, import.version());
  }
  return opsets;
}

namespace {

// Calls fn(node) for all nodes, those of nested graphs included.
template <typename Nodes, typename Fn>
void ForEachNode(const Nodes& nodes, const Fn& fn) {
  for (const NodeProto& node : nodes) {
    fn(node);
    for (const AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) ForEachNode(attribute.g().node(), fn);
      for (const GraphProto& graph : attribute.graphs()) ForEachNode(graph.node(), fn);
    }
  }
}

}  // namespace

FunctionInliner::FunctionInliner(const sluice_onnx::ModelProto& model) {
  for (const FunctionProto& function : model.functions()) {
    const bool added =
        functions_
            .emplace(Key(Normal(function.domain()), function.name(), function.overload()),
                     Function{&function, std::make_shared<const OpsetMap>(ReadOpsets(function.opset_import()))})
            .second;
    if (!added) throw Error(ErrorCode::kInvalidModel, "function '" + function.name() + "' is there twice");
  }
  for (auto& [key, function] : functions_) CallDepth(function, 0);
}

FunctionInliner::Key FunctionInliner::KeyOf(const NodeProto& node) {
  return {Normal(node.domain()), node.op_type(), node.overload()};
}

int FunctionInliner::CallDepth(Function& function, int callers) {
  const std::string& name = function.proto->name();
  if (function.checking) throw Error(ErrorCode::kInvalidModel, "function '" + name + "' calls itself");
  const auto check_depth = [&] {
    if (callers + function.depth > kMaxDepth) {
      throw Error(ErrorCode::kInvalidModel, "function '" + name + "': calls are nested more than " +
                                                std::to_string(kMaxDepth) + " deep");
    }
  };
  if (function.depth == 0) {
    function.checking = true;
    int deepest = 0;
    check_depth();
    ForEachNode(function.proto->node(), [&](const NodeProto& node) {
      const auto called = functions_.find(KeyOf(node));
      if (called != functions_.end()) deepest = std::max(deepest, CallDepth(called->second, callers + 1));
    });
    function.depth = 1 + deepest;
    function.checking = false;
  }
  check_depth();
  return function.depth;
}

std::vector<SourceNode> FunctionInliner::Expand(const google::protobuf::RepeatedPtrField<NodeProto>& nodes,
                                                const std::shared_ptr<const OpsetMap>& opsets) {
  std::vector<SourceNode> out;
  out.reserve(static_cast<size_t>(nodes.size()));
  for (const NodeProto& node : nodes) ExpandNode({&node, opsets, nullptr}, out);
  return out;
}

void FunctionInliner::ExpandNode(SourceNode node, std::vector<SourceNode>& out) {
  if (++nodes_ > kMaxNodes) {
    throw Error(ErrorCode::kInvalidModel, "the model has more than " + std::to_string(kMaxNodes) + " nodes");
  }
  const auto found = functions_.find(KeyOf(*node.proto));
  if (found == functions_.end()) {
    out.push_back(std::move(node));
    return;
  }
  const Function& function = found->second;
  Call call(*function.proto, *node.proto, "function" + std::to_string(++calls_) + "/");
  for (const NodeProto& inner : function.proto->node()) {
    SourceNode copy{nullptr, function.opsets, call.Instantiate(inner)};
    copied_bytes_ += static_cast<int64_t>(copy.owned->ByteSizeLong());
    if (copied_bytes_ > kMaxCopiedBytes) {
      throw Error(ErrorCode::kInvalidModel, "function '" + found->second.proto->name() +
                                                "': functions take more than " + std::to_string(kMaxCopiedBytes) +
                                                " bytes where they are called");
    }
    copy.proto = copy.owned.get();
    ExpandNode(std::move(copy), out);
  }
  for (const auto& [from, to] : call.passed_through()) {
    auto identity = std::make_unique<NodeProto>();
    identity->set_op_type("Identity");
    identity->add_input(from);
    identity->add_output(to);
    static const auto opsets = std::make_shared<const OpsetMap>(OpsetMap{{"", 1}});
    const NodeProto* proto = identity.get();
    out.push_back({proto, opsets, std::move(identity)});
  }
}

}  // namespace sluice
