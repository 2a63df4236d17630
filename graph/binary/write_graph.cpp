#include <variant>

#include "graph/binary/graph_binary.h"

namespace sluice {
namespace {

class GraphWriter {
 public:
  GraphWriter(const NumberTensor& number, ByteWriter& to, std::vector<const Node*>& nodes)
      : number_(number), to_(to), nodes_(nodes) {}

  void Write(const Graph& graph) {
    for (const std::string* text : {&graph.name, &graph.producer_name, &graph.producer_version, &graph.doc})
      to_.Text(*text);
    to_.Number(graph.ir_version);
    to_.Count(graph.opsets.size());
    for (const auto& [domain, version] : graph.opsets) {
      to_.Text(domain);
      to_.Number(version);
    }
    to_.Count(graph.metadata.size());
    for (const auto& [key, value] : graph.metadata) {
      to_.Text(key);
      to_.Text(value);
    }
    to_.Number(static_cast<uint8_t>(graph.by_rows));
    to_.Count(graph.num_values());
    for (size_t i = 0; i < graph.num_values(); ++i) WriteValue(graph.value(static_cast<ValueId>(i)));
    to_.Count(graph.num_nodes());
    for (size_t i = 0; i < graph.num_node_ids(); ++i) {
      if (graph.alive(static_cast<NodeId>(i))) WriteNode(graph.node(static_cast<NodeId>(i)));
    }
    WriteIds(graph.inputs);
    WriteIds(graph.outputs);
  }

 private:
  void WriteIds(const std::vector<ValueId>& ids) {
    to_.Count(ids.size());
    for (ValueId id : ids) to_.Number(static_cast<int32_t>(id));
  }

  void WriteType(const ValueType& type) {
    to_.Number(static_cast<uint8_t>(type.dtype));
    to_.Number(static_cast<uint8_t>(type.kind));
    to_.Number(static_cast<uint8_t>(type.key_type));
    to_.Number(static_cast<uint8_t>(type.has_shape));
    to_.Count(type.shape.size());
    for (const Dim& dim : type.shape) {
      to_.Number(dim.value());
      to_.Text(dim.symbol());
    }
  }

  void WriteValue(const GraphValue& value) {
    to_.Text(value.name);
    WriteType(value.type);
    to_.Number(static_cast<uint8_t>(!value.constant.empty()));
    if (!value.constant.empty()) WriteTensor(value.constant);
  }

  void WriteTensor(const Tensor& tensor) {
    to_.Number(static_cast<uint8_t>(tensor.dtype()));
    if (tensor.empty()) return;
    to_.Numbers(std::span<const int64_t>(tensor.shape()));
    if (tensor.dtype() == DataType::kString) {
      to_.Count(tensor.values<std::string>().size());
      for (const std::string& text : tensor.values<std::string>()) to_.Text(text);
    } else if (tensor.byte_size() > 0) {
      to_.Number(number_(tensor));
    }
  }

  void WriteNode(const Node& node) {
    nodes_.push_back(&node);
    for (const std::string* text : {&node.op_type, &node.domain, &node.name}) to_.Text(*text);
    to_.Number(static_cast<int32_t>(node.since_version));
    WriteIds(node.inputs);
    WriteIds(node.outputs);
    to_.Number(static_cast<int32_t>(node.captures));
    to_.Count(node.post_ops.size());
    for (const PostOp& op : node.post_ops) {
      to_.Number(static_cast<uint8_t>(op.kind));
      to_.Number(op.alpha);
      to_.Number(op.beta);
      to_.Number(static_cast<int32_t>(op.operand));
    }
    to_.Count(node.attrs.all().size());
    for (const auto& [name, attribute] : node.attrs.all()) {
      to_.Text(name);
      to_.Number(static_cast<uint8_t>(attribute.index()));
      std::visit([this](const auto& value) { WriteAttribute(value); }, attribute);
    }
  }

  void WriteAttribute(int64_t value) { to_.Number(value); }
  void WriteAttribute(float value) { to_.Number(value); }
  void WriteAttribute(const std::string& value) { to_.Text(value); }
  void WriteAttribute(const std::vector<int64_t>& values) { to_.Numbers(std::span<const int64_t>(values)); }
  void WriteAttribute(const std::vector<float>& values) { to_.Numbers(std::span<const float>(values)); }
  void WriteAttribute(const std::vector<std::string>& values) {
    to_.Count(values.size());
    for (const std::string& value : values) to_.Text(value);
  }
  void WriteAttribute(const Tensor& value) { WriteTensor(value); }
  void WriteAttribute(const std::vector<Tensor>& values) {
    to_.Count(values.size());
    for (const Tensor& value : values) WriteTensor(value);
  }
  void WriteAttribute(const std::shared_ptr<Graph>& graph) { Write(*graph); }

  const NumberTensor& number_;
  ByteWriter& to_;
  std::vector<const Node*>& nodes_;
};

}  // namespace

void WriteGraph(const Graph& graph, const NumberTensor& number, ByteWriter& to,
                std::vector<const Node*>& nodes) {
  GraphWriter(number, to, nodes).Write(graph);
}

}  // namespace sluice
