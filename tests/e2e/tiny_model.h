#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

// Writes the few messages of onnx.proto that the tests need, by hand: field numbers are those of the
// ONNX standard. Strings of bytes nest.
class Message {
 public:
  Message& Int(int field, int64_t value) {
    Varint(static_cast<uint64_t>(field) << 3);
    Varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& Bytes(int field, const std::string& value) {
    Varint(static_cast<uint64_t>(field) << 3 | 2);
    Varint(value.size());
    bytes_ += value;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

struct TinyValue {
  std::string name;
  int type;                        // onnx.TensorProto.DataType
  std::vector<std::string> shape;  // numbers or names
};

struct TinyNode {
  std::string op;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::string domain = "";
  std::vector<std::string> attributes = {};  // AttributeProto messages
};

// AttributeProto: name = 1, strings = 9, type = 20 (8: strings).
inline std::string StringsAttribute(const std::string& name, const std::vector<std::string>& values) {
  Message attribute;
  attribute.Bytes(1, name);
  for (const std::string& value : values) attribute.Bytes(9, value);
  return attribute.Int(20, 8).bytes();
}

// TensorProto: dims = 1, data_type = 2, raw_data = 9.
inline std::string TensorProto(int type, const std::vector<int64_t>& shape, const std::string& raw) {
  Message tensor;
  for (int64_t size : shape) tensor.Int(1, size);
  return tensor.Int(2, type).Bytes(9, raw).bytes();
}

inline std::string FloatTensor(const std::vector<int64_t>& shape, const std::vector<float>& values) {
  return TensorProto(1, shape, std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
}

// ValueInfoProto: name = 1, type = 2 {tensor_type = 1 {elem_type = 1, shape = 2 {dim = 1 {value = 1, param = 2}}}}.
// Without a type, 0, it is the name alone.
inline std::string ValueInfoProto(const TinyValue& value) {
  if (value.type == 0) return Message().Bytes(1, value.name).bytes();
  Message shape;
  for (const std::string& size : value.shape) {
    Message dim;
    if (size[0] >= '0' && size[0] <= '9') dim.Int(1, std::stoll(size));
    else dim.Bytes(2, size);
    shape.Bytes(1, dim.bytes());
  }
  const Message tensor = Message().Int(1, value.type).Bytes(2, shape.bytes());
  return Message().Bytes(1, value.name).Bytes(2, Message().Bytes(1, tensor.bytes()).bytes()).bytes();
}

// ModelProto: ir_version = 1, producer_name = 2, graph = 7, opset_import = 8.
inline std::string Model(const std::vector<TinyNode>& nodes, const std::vector<TinyValue>& inputs,
                         const std::vector<TinyValue>& outputs, int opset = 17) {
  Message graph;
  for (const TinyNode& node : nodes) {
    Message message;
    for (const std::string& name : node.inputs) message.Bytes(1, name);
    for (const std::string& name : node.outputs) message.Bytes(2, name);
    // "Conv_node", "Conv_node2" and so on.
    const auto before = std::count_if(nodes.data(), &node, [&](const TinyNode& other) { return other.op == node.op; });
    message.Bytes(3, node.op + "_node" + (before == 0 ? "" : std::to_string(before + 1))).Bytes(4, node.op).Bytes(7, node.domain);
    for (const std::string& attribute : node.attributes) message.Bytes(5, attribute);
    graph.Bytes(1, message.bytes());
  }
  graph.Bytes(2, "tiny");
  for (const TinyValue& value : inputs) graph.Bytes(11, ValueInfoProto(value));
  for (const TinyValue& value : outputs) graph.Bytes(12, ValueInfoProto(value));
  return Message()
      .Int(1, 8)
      .Bytes(2, "tiny_model.h")
      .Bytes(7, graph.bytes())
      .Bytes(8, Message().Bytes(1, "").Int(2, opset).bytes())
      .bytes();
}

}  // namespace sluice::test
