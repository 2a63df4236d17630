#include "graph/import.h"

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "graph/gradient.h"
#include "graph/import_functions.h"
#include "graph/import_tensor.h"
#include "graph/mapped_file.h"
#include "graph/operator.h"
#include "graph/wire.h"
#include "sluice/error.h"

namespace sluice {
namespace {

using sluice_onnx::AttributeProto;
using sluice_onnx::GraphProto;
using sluice_onnx::ModelProto;
using sluice_onnx::NodeProto;

std::string Normal(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

// What all graphs of one model share while it is read.
struct ModelReader {
  TensorSource& tensors;
  FunctionInliner& functions;
  const OperatorLookup& lookup;
  // Unknown operators: name -> the first nodes that use it.
  std::map<std::string, std::vector<std::string>> unknown;
};

class GraphReader {
 public:
  GraphReader(ModelReader& model, GraphReader* outer)
      : model_(model),
        outer_(outer),
        depth_(outer == nullptr ? 0 : outer->depth_ + 1),
        graph_(std::make_unique<Graph>()) {
    // Functions whose nested graphs call functions nest deeper than the file does.
    if (depth_ > kMaxNesting)
      Fail("graphs are nested too deeply, expected at most " + std::to_string(kMaxNesting));
  }

  void Read(const GraphProto& proto, const std::shared_ptr<const OpsetMap>& opsets) {
    graph_->name = proto.name();
    for (const auto& info : proto.value_info()) types_[info.name()] = &info;
    for (const auto& info : proto.output()) types_[info.name()] = &info;
    for (const auto& info : proto.input()) types_[info.name()] = &info;
    for (const auto& tensor : proto.initializer()) AddInitializer(tensor.name(), model_.tensors.Read(tensor));
    for (const auto& tensor : proto.sparse_initializer())
      AddInitializer(tensor.values().name(), model_.tensors.Read(tensor));
    for (const auto& input : proto.input()) {
      // Until IR version 4 initializers had to be listed as inputs too.
      if (graph_->IsConstant(Find(input.name()))) continue;
      if (!names_inputs_.insert(input.name()).second) Fail("input '" + input.name() + "' is listed twice");
      graph_->inputs.push_back(Define(input.name()));
    }
    const std::vector<SourceNode> nodes = model_.functions.Expand(proto.node(), opsets);
    // All names first: nodes need not come in order, and nested graphs see the names around them.
    for (const SourceNode& node : nodes) {
      for (const std::string& name : node.proto->output()) {
        if (!name.empty()) Define(name);
      }
    }
    for (const SourceNode& node : nodes) AddNode(*node.proto, node.opsets);
    for (const auto& output : proto.output()) {
      const ValueId id = Resolve(output.name());
      if (id == ValueId::kNone) Fail("output '" + output.name() + "' is not produced by anything");
      graph_->outputs.push_back(id);
    }
  }

  // Makes the captured values the last inputs, in the order of `names`.
  void AppendCaptures(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto captured = captured_.find(name);
      graph_->inputs.push_back(captured != captured_.end() ? captured->second : graph_->AddValue(name));
    }
  }
  const std::vector<std::string>& captured_names() const { return captured_names_; }
  std::unique_ptr<Graph> Take() { return std::move(graph_); }

 private:
  [[noreturn]] void Fail(const std::string& what) const { throw Error(ErrorCode::kInvalidModel, what); }

  ValueId Find(const std::string& name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? ValueId::kNone : found->second;
  }

  void AddInitializer(const std::string& name, Tensor tensor) {
    if (name.empty()) Fail("an initializer has no name");
    if (Find(name) != ValueId::kNone) Fail("initializer '" + name + "' is there twice");
    names_[name] = graph_->AddConstant(name, std::move(tensor));
  }

  ValueId Define(const std::string& name) {
    if (name.empty()) Fail("an input has no name");
    if (Find(name) != ValueId::kNone) Fail("value '" + name + "' is produced twice");
    ValueType type;
    if (const auto stated = types_.find(name); stated != types_.end()) {
      type = ReadType(stated->second->type(), "value '" + name + "'");
    }
    return names_[name] = graph_->AddValue(name, std::move(type));
  }

  // A value of this graph or one around it, the latter captured; kNone if there is none.
  ValueId Resolve(const std::string& name) {
    if (const ValueId id = Find(name); id != ValueId::kNone || outer_ == nullptr) return id;
    const ValueId around = outer_->Resolve(name);
    if (around == ValueId::kNone) return around;
    const GraphValue& value = outer_->graph_->value(around);
    if (!value.constant.empty()) return names_[name] = graph_->AddConstant(name, value.constant);
    captured_names_.push_back(name);
    return names_[name] = captured_[name] = graph_->AddValue(name, value.type);
  }

  void AddNode(const NodeProto& proto, const std::shared_ptr<const OpsetMap>& opsets) {
    if (AddConstantNode(proto)) return;
    Node node;
    node.op_type = proto.op_type();
    node.domain = Normal(proto.domain());
    node.name = proto.name();
    const std::string place = Describe(node, proto.output_size() > 0 ? proto.output(0) : "");
    if (node.op_type.empty()) Fail("node '" + node.name + "' has no operator");
    for (const std::string& name : proto.input()) {
      const ValueId id = name.empty() ? ValueId::kNone : Resolve(name);
      if (!name.empty() && id == ValueId::kNone) {
        Fail(place + ": input '" + name + "' is neither produced by a node nor an input nor an initializer");
      }
      node.inputs.push_back(id);
    }
    while (!node.inputs.empty() && node.inputs.back() == ValueId::kNone) node.inputs.pop_back();
    for (const std::string& name : proto.output())
      node.outputs.push_back(name.empty() ? ValueId::kNone : Find(name));
    while (!node.outputs.empty() && node.outputs.back() == ValueId::kNone) node.outputs.pop_back();
    if (node.outputs.empty()) Fail(place + ": has no outputs");
    if (node.name.empty()) node.name = graph_->value(FirstOutput(node)).name;
    ResolveOperator(node, *opsets);
    try {
      ReadAttributes(proto, node, opsets);
    } catch (const Error& error) {
      if (std::string_view(error.what()).find(node.op_type) != std::string_view::npos) throw;
      throw Error(error.code(), place + ": " + error.what());
    }
    graph_->AddNode(std::move(node));
  }

  static ValueId FirstOutput(const Node& node) {
    return *std::find_if(node.outputs.begin(), node.outputs.end(),
                         [](ValueId id) { return id != ValueId::kNone; });
  }

  void ResolveOperator(Node& node, const OpsetMap& opsets) {
    const auto opset = opsets.find(node.domain);
    // A domain that the model uses without importing it: the oldest definition is all that can be meant.
    const ResolvedOperator found =
        model_.lookup(node.domain, node.op_type, opset == opsets.end() ? 1 : opset->second);
    node.op = found.op;
    node.since_version = found.since_version;
    if (found.op == nullptr) {
      const std::string version =
          opset == opsets.end() ? "" : " (opset " + std::to_string(opset->second) + ")";
      model_.unknown[(node.domain.empty() ? "" : node.domain + ".") + node.op_type + version].push_back(
          node.name);
    }
  }

  // Constant nodes become constants at once.
  bool AddConstantNode(const NodeProto& proto) {
    if (proto.op_type() != "Constant" || !Normal(proto.domain()).empty() || proto.output_size() != 1)
      return false;
    if (proto.attribute_size() != 1 || proto.output(0).empty()) return false;
    const AttributeProto& value = proto.attribute(0);
    const std::string& kind = value.name();
    Tensor tensor;
    if (kind == "value")
      tensor = model_.tensors.Read(value.t());
    else if (kind == "sparse_value")
      tensor = model_.tensors.Read(value.sparse_tensor());
    else if (kind == "value_float")
      tensor = Tensor::Scalar<float>(value.f());
    else if (kind == "value_int")
      tensor = Tensor::Scalar<int64_t>(value.i());
    else if (kind == "value_string")
      tensor = Tensor::Scalar<std::string>(value.s());
    else if (kind == "value_floats")
      tensor = ListOf<float>(value.floats());
    else if (kind == "value_ints")
      tensor = ListOf<int64_t>(value.ints());
    else if (kind == "value_strings")
      tensor = ListOf<std::string>(value.strings());
    else
      return false;
    GraphValue& defined = graph_->value(Find(proto.output(0)));
    defined.type = ValueType::Of(tensor.dtype(), ToSymShape(tensor.shape()));
    defined.constant = std::move(tensor);
    return true;
  }

  template <typename T, typename List>
  static Tensor ListOf(const List& list) {
    const std::vector<T> values(list.begin(), list.end());
    Tensor tensor(DataTypeOf<T>::value, {static_cast<int64_t>(values.size())});
    std::copy(values.begin(), values.end(), static_cast<T*>(tensor.mutable_data()));
    return tensor;
  }

  void ReadAttributes(const NodeProto& proto, Node& node, const std::shared_ptr<const OpsetMap>& opsets) {
    std::vector<std::pair<std::string, std::unique_ptr<GraphReader>>> nested;
    for (const AttributeProto& attribute : proto.attribute()) {
      const std::string& name = attribute.name();
      if (name.empty()) Fail("an attribute has no name");
      if (node.attrs.Has(name)) Fail("attribute '" + name + "' is there twice");
      if (!attribute.ref_attr_name().empty()) Fail("attribute '" + name + "' refers to one of a function");
      switch (TypeOf(attribute)) {
        case AttributeProto::FLOAT:
          node.attrs.Set(name, attribute.f());
          break;
        case AttributeProto::INT:
          node.attrs.Set(name, static_cast<int64_t>(attribute.i()));
          break;
        case AttributeProto::STRING:
          node.attrs.Set(name, attribute.s());
          break;
        case AttributeProto::TENSOR:
          node.attrs.Set(name, model_.tensors.Read(attribute.t()));
          break;
        case AttributeProto::SPARSE_TENSOR:
          node.attrs.Set(name, model_.tensors.Read(attribute.sparse_tensor()));
          break;
        case AttributeProto::FLOATS:
          node.attrs.Set(name, std::vector<float>(attribute.floats().begin(), attribute.floats().end()));
          break;
        case AttributeProto::INTS:
          node.attrs.Set(name, std::vector<int64_t>(attribute.ints().begin(), attribute.ints().end()));
          break;
        case AttributeProto::STRINGS:
          node.attrs.Set(name,
                         std::vector<std::string>(attribute.strings().begin(), attribute.strings().end()));
          break;
        case AttributeProto::TENSORS: {
          std::vector<Tensor> list;
          for (const auto& tensor : attribute.tensors()) list.push_back(model_.tensors.Read(tensor));
          node.attrs.Set(name, std::move(list));
          break;
        }
        case AttributeProto::GRAPH:
          nested.emplace_back(name, std::make_unique<GraphReader>(model_, this));
          nested.back().second->Read(attribute.g(), opsets);
          node.attrs.Set(name, std::shared_ptr<Graph>());
          break;
        case AttributeProto::TYPE_PROTO:
          break;  // says what the outputs' types say too
        default:
          throw Error(ErrorCode::kUnsupported, "attribute '" + name + "' has a type that is not supported");
      }
    }
    AddNestedGraphs(nested, node);
  }

  // All nested graphs of a node take the same captured values, as their last inputs and the node's.
  void AddNestedGraphs(std::vector<std::pair<std::string, std::unique_ptr<GraphReader>>>& nested,
                       Node& node) {
    std::vector<std::string> captured;
    for (const auto& [name, reader] : nested) {
      for (const std::string& value : reader->captured_names()) {
        if (std::find(captured.begin(), captured.end(), value) == captured.end()) captured.push_back(value);
      }
    }
    for (const std::string& value : captured) node.inputs.push_back(Resolve(value));
    node.captures = static_cast<int>(captured.size());
    for (const auto& [name, reader] : nested) {
      reader->AppendCaptures(captured);
      std::shared_ptr<Graph> graph = reader->Take();
      node.attrs.Set(name, std::move(graph));
    }
  }

  // Models of the first IR versions do not state attributes' types.
  static AttributeProto::AttributeType TypeOf(const AttributeProto& attribute) {
    if (attribute.type() != AttributeProto::UNDEFINED) return attribute.type();
    if (attribute.has_f()) return AttributeProto::FLOAT;
    if (attribute.has_i()) return AttributeProto::INT;
    if (attribute.has_s()) return AttributeProto::STRING;
    if (attribute.has_t()) return AttributeProto::TENSOR;
    if (attribute.has_g()) return AttributeProto::GRAPH;
    if (attribute.has_sparse_tensor()) return AttributeProto::SPARSE_TENSOR;
    if (attribute.floats_size() > 0) return AttributeProto::FLOATS;
    if (attribute.strings_size() > 0) return AttributeProto::STRINGS;
    if (attribute.tensors_size() > 0) return AttributeProto::TENSORS;
    return AttributeProto::INTS;
  }

  ModelReader& model_;
  GraphReader* outer_;
  int depth_;
  std::unique_ptr<Graph> graph_;
  std::map<std::string, const sluice_onnx::ValueInfoProto*> types_;
  std::map<std::string, ValueId> names_;
  std::set<std::string> names_inputs_;
  std::map<std::string, ValueId> captured_;
  std::vector<std::string> captured_names_;
};

void FailForUnknown(const std::map<std::string, std::vector<std::string>>& unknown) {
  if (unknown.empty()) return;
  constexpr size_t kMostNodes = 3;
  std::string text = "no definition of";
  for (auto it = unknown.begin(); it != unknown.end(); ++it) {
    text += (it == unknown.begin() ? " " : ", ") + it->first + " at '";
    for (size_t i = 0; i < std::min(it->second.size(), kMostNodes); ++i)
      text += (i ? "', '" : "") + it->second[i];
    text += "'";
    if (it->second.size() > kMostNodes)
      text += " and " + std::to_string(it->second.size() - kMostNodes) + " more";
  }
  throw Error(ErrorCode::kUnsupported, text);
}

bool Parse(const std::string& bytes, ModelProto& proto) {
  if (bytes.size() > INT32_MAX) return false;
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()),
                                               static_cast<int>(bytes.size()));
  // A nested graph is three messages deeper: node, attribute, graph. 100, protobuf's own limit, is for the
  // rest.
  input.SetRecursionLimit(3 * kMaxNesting + 100);
  return proto.ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

std::unique_ptr<Graph> Import(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                              std::optional<std::string> folder, const OperatorLookup& lookup,
                              bool copy = false, std::vector<std::string>* external = nullptr) {
  if (bytes.empty()) throw Error(ErrorCode::kInvalidModel, "not a valid ONNX file: it is empty");
  const Skeleton skeleton = SkeletonOf(bytes);
  ModelProto proto;
  if (!Parse(skeleton.model, proto)) {
    throw Error(ErrorCode::kInvalidModel, "not a valid ONNX file: the message does not parse");
  }
  if (!proto.has_graph()) throw Error(ErrorCode::kInvalidModel, "not a valid ONNX file: it has no graph");
  auto opsets = std::make_shared<OpsetMap>(ReadOpsets(proto.opset_import()));
  // Models of IR versions 1 and 2 import no operator set: the first is meant.
  if (opsets->empty()) (*opsets)[""] = 1;

  TensorSource tensors(skeleton.blobs, std::move(owner), std::move(folder), copy);
  FunctionInliner functions(proto);
  ModelReader model{tensors, functions, lookup, {}};
  GraphReader reader(model, nullptr);
  reader.Read(proto.graph(), opsets);
  FailForUnknown(model.unknown);
  tensors.ForgetExternal();
  if (external != nullptr) external->assign(tensors.locations().begin(), tensors.locations().end());

  std::unique_ptr<Graph> graph = reader.Take();
  graph->producer_name = proto.producer_name();
  graph->producer_version = proto.producer_version();
  graph->doc = proto.doc_string();
  graph->ir_version = proto.ir_version();
  graph->opsets = *opsets;
  for (const auto& entry : proto.metadata_props()) graph->metadata[entry.key()] = entry.value();
  ExpandGradients(*graph);
  return graph;
}

}  // namespace

std::unique_ptr<Graph> ImportOnnx(const std::string& path, bool copy, const OperatorLookup& lookup,
                                  std::vector<std::string>* external) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  try {
    if (copy) {
      // Each constant gets memory of its own, which goes when its kernel has packed it; these bytes go at
      // once.
      const Tensor bytes = ReadFile(path);
      return Import(std::as_bytes(bytes.values<uint8_t>()), nullptr, folder, lookup, /*copy=*/true, external);
    }
    const std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
    std::unique_ptr<Graph> graph = Import(file->bytes(), file, folder, lookup, /*copy=*/false, external);
    // What was copied is not needed in memory twice; views read their pages again when they are used.
    file->Forget();
    return graph;
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with(path)) throw;
    throw Error(error.code(), path + ": " + error.what());
  }
}

std::unique_ptr<Graph> ImportOnnxBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                       const OperatorLookup& lookup) {
  return Import(bytes, std::move(owner), std::nullopt, lookup);
}

}  // namespace sluice
