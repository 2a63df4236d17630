#pragma once

#include <initializer_list>
#include <string>

#include "tests/graph/onnx_builder.h"

namespace sluice::test {

using sluice_onnx::AttributeProto;
using Names = std::initializer_list<std::string>;

// Adds a node to a GraphProto or a FunctionProto.
template <typename Owner>
NodeProto* Add(Owner* owner, const std::string& op, Names inputs, Names outputs) {
  NodeProto* node = owner->add_node();
  node->set_op_type(op);
  for (const std::string& name : inputs) node->add_input(name);
  for (const std::string& name : outputs) node->add_output(name);
  return node;
}

// All return the node, so that calls can be chained.
inline AttributeProto* AddAttribute(NodeProto* node, const std::string& name,
                                    AttributeProto::AttributeType type) {
  AttributeProto* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return attribute;
}
inline NodeProto* SetFloat(NodeProto* node, const std::string& name, float value) {
  AddAttribute(node, name, AttributeProto::FLOAT)->set_f(value);
  return node;
}
inline NodeProto* SetInt(NodeProto* node, const std::string& name, int64_t value) {
  AddAttribute(node, name, AttributeProto::INT)->set_i(value);
  return node;
}
inline NodeProto* SetInts(NodeProto* node, const std::string& name, std::initializer_list<int64_t> values) {
  AttributeProto* attribute = AddAttribute(node, name, AttributeProto::INTS);
  for (int64_t value : values) attribute->add_ints(value);
  return node;
}

// A nested graph in an attribute of `node`.
inline GraphProto* AddGraph(NodeProto* node, const std::string& name) {
  GraphProto* graph = AddAttribute(node, name, AttributeProto::GRAPH)->mutable_g();
  graph->set_name(name);
  return graph;
}

// Inputs and outputs of an element type, sizes left open. Type 0: nothing is stated.
inline void AddInput(GraphProto* graph, const std::string& name, int type = TensorProto::FLOAT) {
  auto* input = graph->add_input();
  input->set_name(name);
  if (type != 0) input->mutable_type()->mutable_tensor_type()->set_elem_type(type);
}
inline void AddOutput(GraphProto* graph, const std::string& name, int type = TensorProto::FLOAT) {
  auto* output = graph->add_output();
  output->set_name(name);
  if (type != 0) output->mutable_type()->mutable_tensor_type()->set_elem_type(type);
}
inline void SetSequence(sluice_onnx::ValueInfoProto* info, int type = TensorProto::FLOAT) {
  info->mutable_type()->mutable_sequence_type()->mutable_elem_type()->mutable_tensor_type()->set_elem_type(
      type);
}

inline void AddInts(GraphProto* graph, const std::string& name, std::initializer_list<int64_t> shape,
                    std::initializer_list<int64_t> values) {
  TensorProto* tensor = graph->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(TensorProto::INT64);
  for (int64_t size : shape) tensor->add_dims(size);
  for (int64_t value : values) tensor->add_int64_data(value);
}
inline void AddBool(GraphProto* graph, const std::string& name, bool value) {
  TensorProto* tensor = graph->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(TensorProto::BOOL);
  tensor->add_int32_data(value);
}

}  // namespace sluice::test
