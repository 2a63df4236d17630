#include "graph/export.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/builder.h"
#include "graph/export_tensor.h"
#include "graph/operator.h"
#include "sluice/error.h"

namespace sluice {
namespace {

using sluice_onnx::AttributeProto;
using sluice_onnx::GraphProto;
using sluice_onnx::NodeProto;

// Field numbers of onnx.proto.
constexpr int kModelGraph = 7, kGraphInitializer = 5, kTensorRawData = 9, kTensorDoc = 12;
// Elements within the model begin at a multiple of this, so that readers that map the file need not copy
// them. Not those of small constants, where it would be a good part of the file.
constexpr int64_t kRawAlignment = 64, kAlignedFromBytes = 1024;
constexpr int64_t kMostBytes = (int64_t{1} << 31) - 1;
// Readers that map files want pages.
constexpr int64_t kExternalAlignment = 4096;

void AppendVarint(std::string& bytes, uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

// The tag and length that go before `size` bytes of a field.
std::string FieldHead(int number, int64_t size) {
  std::string head;
  AppendVarint(head, static_cast<uint64_t>(number) << 3 | 2);
  AppendVarint(head, static_cast<uint64_t>(size));
  return head;
}

// Gives every value of a graph and of those nested in it a name of its own.
class Names {
 public:
  // The name of a value that was called `wanted`.
  std::string Take(const std::string& wanted, const std::string& fallback) {
    const std::string base = wanted.empty() ? fallback : wanted;
    std::string name = base;
    for (int i = 2; !taken_.insert(name).second; ++i) name = base + "." + std::to_string(i);
    return name;
  }

 private:
  std::set<std::string> taken_;
};

struct NamedConstant {
  std::string name;
  Tensor tensor;
  Tensor factors;  // empty: the elements are those of the tensor
};

// Writes nodes, inputs and outputs of one graph; constants are left to the caller unless it is a nested one.
class GraphWriter {
 public:
  GraphWriter(const Graph& graph, const std::map<std::string, int64_t>& opsets, Names& names)
      : graph_(graph), opsets_(opsets), names_(names), value_names_(graph.num_values()) {}

  // `captured` are the names of the values around that the last inputs stand for.
  void Write(const std::vector<std::string>& captured, GraphProto* proto) {
    const size_t own = graph_.inputs.size() - captured.size();
    for (size_t i = 0; i < captured.size(); ++i) NameOf(graph_.inputs[own + i]) = captured[i];
    for (size_t i = 0; i < own; ++i) TakeName(graph_.inputs[i]);
    for (ValueId id : graph_.outputs) TakeName(id);
    proto->set_name(graph_.name.empty() ? "graph" : graph_.name);
    for (size_t i = 0; i < own; ++i) WriteInfo(graph_.inputs[i], proto->add_input());
    const std::vector<NodeId> order = graph_.TopologicalOrder();
    for (NodeId id : order) {
      for (ValueId value : graph_.node(id).inputs) TakeName(value);
      for (ValueId value : graph_.node(id).outputs) TakeName(value);
    }
    for (NodeId id : order) WriteNode(graph_.node(id), proto->add_node());
    for (ValueId id : graph_.outputs) WriteInfo(id, proto->add_output());
  }

  // Constants that are used.
  std::vector<NamedConstant> Constants(const LateFactors& factors = {}) const {
    std::vector<NamedConstant> constants;
    for (size_t i = 0; i < value_names_.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      const Tensor& tensor = graph_.value(id).constant;
      if (tensor.empty() || value_names_[i].empty()) continue;
      const auto found = factors.find(id);
      constants.push_back({value_names_[i], tensor, found == factors.end() ? Tensor() : found->second});
    }
    return constants;
  }

 private:
  std::string& NameOf(ValueId id) { return value_names_[static_cast<size_t>(id)]; }

  void TakeName(ValueId id) {
    if (id == ValueId::kNone || !NameOf(id).empty()) return;
    NameOf(id) = names_.Take(graph_.value(id).name, "value");
  }

  void WriteInfo(ValueId id, sluice_onnx::ValueInfoProto* proto) {
    proto->set_name(NameOf(id));
    WriteType(graph_.value(id).type, proto->mutable_type());
  }

  void WriteNode(const Node& node, NodeProto* proto) {
    const auto opset = opsets_.find(node.domain);
    const ResolvedOperator found =
        FindOperator(node.domain, node.op_type, opset == opsets_.end() ? 1 : opset->second);
    if (node.op != nullptr && found.since_version != node.since_version) {
      throw Error(ErrorCode::kUnsupported,
                  Describe(node) + " is of version " + std::to_string(node.since_version) +
                      ", the model's opset is " + std::to_string(opset == opsets_.end() ? 1 : opset->second));
    }
    proto->set_op_type(node.op_type);
    proto->set_domain(node.domain);
    proto->set_name(node.name);
    const size_t inputs = node.inputs.size() - static_cast<size_t>(node.captures);
    for (size_t i = 0; i < inputs; ++i)
      proto->add_input(node.inputs[i] == ValueId::kNone ? "" : NameOf(node.inputs[i]));
    for (ValueId id : node.outputs) proto->add_output(id == ValueId::kNone ? "" : NameOf(id));
    std::vector<std::string> captured;
    for (size_t i = inputs; i < node.inputs.size(); ++i) captured.push_back(NameOf(node.inputs[i]));
    for (const auto& [name, attribute] : node.attrs.all())
      WriteAttribute(name, attribute, captured, proto->add_attribute());
  }

  void WriteAttribute(const std::string& name, const Attribute& attribute,
                      const std::vector<std::string>& captured, AttributeProto* proto) {
    proto->set_name(name);
    struct Writer {
      GraphWriter& graph;
      const std::vector<std::string>& captured;
      AttributeProto* proto;
      void Type(AttributeProto::AttributeType type) const { proto->set_type(type); }
      void operator()(int64_t value) const { Type(AttributeProto::INT), proto->set_i(value); }
      void operator()(float value) const { Type(AttributeProto::FLOAT), proto->set_f(value); }
      void operator()(const std::string& value) const { Type(AttributeProto::STRING), proto->set_s(value); }
      void operator()(const std::vector<int64_t>& values) const {
        Type(AttributeProto::INTS);
        for (int64_t value : values) proto->add_ints(value);
      }
      void operator()(const std::vector<float>& values) const {
        Type(AttributeProto::FLOATS);
        for (float value : values) proto->add_floats(value);
      }
      void operator()(const std::vector<std::string>& values) const {
        Type(AttributeProto::STRINGS);
        for (const std::string& value : values) proto->add_strings(value);
      }
      void operator()(const Tensor& value) const {
        Type(AttributeProto::TENSOR), WriteTensor(value, "", proto->mutable_t());
      }
      void operator()(const std::vector<Tensor>& values) const {
        Type(AttributeProto::TENSORS);
        for (const Tensor& value : values) WriteTensor(value, "", proto->add_tensors());
      }
      void operator()(const std::shared_ptr<Graph>& body) const {
        Type(AttributeProto::GRAPH);
        GraphWriter nested(*body, graph.opsets_, graph.names_);
        nested.Write(captured, proto->mutable_g());
        for (const NamedConstant& constant : nested.Constants()) {
          WriteTensor(constant.tensor, constant.name, proto->mutable_g()->add_initializer());
        }
      }
    };
    std::visit(Writer{*this, captured, proto}, attribute);
  }

  const Graph& graph_;
  const std::map<std::string, int64_t>& opsets_;
  Names& names_;
  std::vector<std::string> value_names_;
};

// Outputs must differ from one another and from inputs for all readers to take them, in nested graphs too.
void SeparateOutputs(Graph& graph, int64_t opset) {
  for (size_t i = 0; i < graph.num_node_ids(); ++i) {
    if (!graph.alive(static_cast<NodeId>(i))) continue;
    for (const auto& [name, attribute] : graph.node(static_cast<NodeId>(i)).attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute))
        SeparateOutputs(**nested, opset);
    }
  }
  GraphBuilder build(graph, opset);
  std::set<ValueId> seen(graph.inputs.begin(), graph.inputs.end());
  for (ValueId& output : graph.outputs) {
    if (seen.insert(output).second && !graph.IsConstant(output)) continue;
    const ValueId source = output;
    output = build.Op("Identity", {source});
    graph.value(output).type = graph.value(source).type;
    // A constant may have any name; one that is an output has it for good.
    if (graph.IsConstant(source)) std::swap(graph.value(output).name, graph.value(source).name);
  }
}

// One constant as it goes to the files.
struct Piece {
  std::string head;  // everything before the bytes
  Tensor tensor;     // empty: no bytes follow
  Tensor factors;    // as of the constant
  bool external = false;
  int64_t padding = 0;  // zeros before it in the external file
};

void SetExternal(const ExportOptions& options, int64_t offset, int64_t size,
                 sluice_onnx::TensorProto* proto) {
  const std::pair<const char*, std::string> entries[] = {{"location", options.external_name},
                                                         {"offset", std::to_string(offset)},
                                                         {"length", std::to_string(size)}};
  proto->set_data_location(sluice_onnx::TensorProto::EXTERNAL);
  for (const auto& [key, value] : entries) {
    auto* entry = proto->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
}

// A text for people, of blanks, of so many bytes that what follows the message and `behind` lies well in the
// file, where the message begins at `begin` after a head of its own.
std::string Blanks(const std::string& message, const std::string& behind, int64_t begin, int64_t size) {
  for (int64_t blanks = 0; blanks < kRawAlignment; ++blanks) {
    // With tag and length, two bytes.
    const int64_t text = static_cast<int64_t>(message.size() + behind.size()) + (blanks > 0 ? blanks + 2 : 0);
    const auto head = static_cast<int64_t>(FieldHead(kGraphInitializer, text + size).size());
    if ((begin + head + text) % kRawAlignment != 0) continue;
    return blanks == 0 ? "" : FieldHead(kTensorDoc, blanks) + std::string(static_cast<size_t>(blanks), ' ');
  }
  return {};
}

// `begin` is where the first of them is in the file.
std::vector<Piece> MakePieces(const std::vector<NamedConstant>& constants, const ExportOptions& options,
                              int64_t begin) {
  std::vector<Piece> pieces;
  int64_t external_end = 0;
  for (const auto& [name, tensor, factors] : constants) {
    sluice_onnx::TensorProto proto;
    WriteTensorHeader(tensor, name, &proto);
    Piece piece;
    piece.factors = factors;
    const bool bulk = tensor.dtype() != DataType::kString;
    const int64_t size = bulk ? tensor.byte_size() : 0;
    if (bulk && options.external && size >= options.external_from_bytes) {
      piece.external = true;
      piece.padding = (kExternalAlignment - external_end % kExternalAlignment) % kExternalAlignment;
      SetExternal(options, external_end + piece.padding, size, &proto);
      external_end += piece.padding + size;
      piece.tensor = tensor;
    }
    std::string message = proto.SerializeAsString();
    int64_t total = static_cast<int64_t>(message.size());
    if (bulk && !piece.external) {
      const std::string behind = FieldHead(kTensorRawData, size);
      if (size >= kAlignedFromBytes) message += Blanks(message, behind, begin, size);
      message += behind;
      total = static_cast<int64_t>(message.size()) + size;
      piece.tensor = tensor;
    }
    piece.head = FieldHead(kGraphInitializer, total) + message;
    begin += static_cast<int64_t>(piece.head.size()) + (piece.external ? 0 : size);
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

void Put(const ByteSink& sink, const std::string& bytes) { sink(std::as_bytes(std::span(bytes))); }
void Put(const ByteSink& sink, const Tensor& tensor, const Tensor& factors) {
  if (factors.empty()) {
    sink({static_cast<const std::byte*>(tensor.data()), static_cast<size_t>(tensor.byte_size())});
  } else {
    MultiplyInPieces(tensor, factors, [&](std::span<const float> part) { sink(std::as_bytes(part)); });
  }
}

// The version of the format that came with the opset, so that readers as old as the opset take the model:
// nothing else here needs a newer one. 4 is the first where constants are no inputs.
int64_t IrVersionFor(const Graph& graph) {
  static constexpr std::pair<int64_t, int64_t> kFirstOpsets[] = {{23, 11}, {21, 10}, {19, 9}, {15, 8},
                                                                 {12, 7},  {11, 6},  {10, 5}};
  const auto opset = graph.opsets.find("");
  const int64_t newest = opset == graph.opsets.end() ? 1 : opset->second;
  for (const auto& [first, version] : kFirstOpsets) {
    if (newest >= first) return version;
  }
  return 4;
}

std::string ModelBytes(const Graph& graph) {
  sluice_onnx::ModelProto model;
  model.set_ir_version(IrVersionFor(graph));
  model.set_producer_name("sluice");
  model.set_doc_string(graph.doc);
  for (const auto& [domain, version] : graph.opsets) {
    auto* entry = model.add_opset_import();
    entry->set_domain(domain);
    entry->set_version(version);
  }
  for (const auto& [key, value] : graph.metadata) {
    auto* entry = model.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
  }
  return model.SerializeAsString();
}

}  // namespace

void ExportOnnx(const Graph& source, const ByteSink& sink, const ExportOptions& options) {
  const std::unique_ptr<Graph> graph = source.Clone();
  const auto stated = graph->opsets.find("");
  const int64_t opset = stated == graph->opsets.end() ? 1 : stated->second;
  UnfusePostOps(*graph, opset);
  SeparateOutputs(*graph, opset);
  Names names;
  GraphWriter writer(*graph, graph->opsets, names);
  GraphProto proto;
  writer.Write({}, &proto);
  const auto constants = writer.Constants(options.factors);
  const std::string model = ModelBytes(*graph), nodes = proto.SerializeAsString();
  std::vector<Piece> pieces;
  std::string head;
  int64_t size = 0;
  // Where constants begin depends on their size, by the length of that number; it settles at once or nearly
  // so.
  for (int i = 0; i < 3; ++i) {
    const size_t assumed = head.size();
    pieces = MakePieces(constants, options, static_cast<int64_t>(model.size() + assumed + nodes.size()));
    size = static_cast<int64_t>(nodes.size());
    for (const Piece& piece : pieces) {
      size += static_cast<int64_t>(piece.head.size());
      if (!piece.external && !piece.tensor.empty()) size += piece.tensor.byte_size();
    }
    head = FieldHead(kModelGraph, size);
    if (head.size() == assumed) break;
  }
  if (size + static_cast<int64_t>(model.size() + head.size()) > kMostBytes) {
    throw Error(ErrorCode::kInvalidArgument,
                "the model takes " + std::to_string(size) +
                    " bytes, more than a protobuf message may have; put its weights in external data");
  }
  Put(sink, model);
  Put(sink, head);
  Put(sink, nodes);
  for (const Piece& piece : pieces) {
    Put(sink, piece.head);
    if (!piece.external && !piece.tensor.empty()) Put(sink, piece.tensor, piece.factors);
    if (!piece.external) continue;
    Put(options.external, std::string(static_cast<size_t>(piece.padding), '\0'));
    Put(options.external, piece.tensor, piece.factors);
  }
}

std::string ExportOnnxBytes(const Graph& graph) {
  std::string bytes;
  ExportOnnx(graph, [&](std::span<const std::byte> part) {
    bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  return bytes;
}

}  // namespace sluice
