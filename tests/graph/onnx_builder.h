#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/import.h"
#include "sluice_onnx.pb.h"

namespace sluice::test {

using sluice_onnx::GraphProto;
using sluice_onnx::ModelProto;
using sluice_onnx::NodeProto;
using sluice_onnx::TensorProto;

// An empty model of the newest opset that tests rely on.
inline ModelProto EmptyModel(int64_t opset = 17) {
  ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(opset);
  model.mutable_graph()->set_name("test");
  return model;
}

inline NodeProto* AddNode(GraphProto* graph, const std::string& op, std::initializer_list<std::string> inputs,
                          std::initializer_list<std::string> outputs) {
  NodeProto* node = graph->add_node();
  node->set_op_type(op);
  for (const std::string& name : inputs) node->add_input(name);
  for (const std::string& name : outputs) node->add_output(name);
  return node;
}

inline void SetType(sluice_onnx::ValueInfoProto* info, const std::string& name, std::initializer_list<int64_t> shape,
                    int type = TensorProto::FLOAT) {
  info->set_name(name);
  auto* tensor = info->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape();
  for (int64_t size : shape) tensor->mutable_shape()->add_dim()->set_dim_value(size);
}

inline TensorProto* AddFloats(GraphProto* graph, const std::string& name, std::initializer_list<int64_t> shape,
                              std::vector<float> values, bool raw = true) {
  TensorProto* tensor = graph->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(TensorProto::FLOAT);
  for (int64_t size : shape) tensor->add_dims(size);
  if (raw) tensor->set_raw_data(std::string(reinterpret_cast<const char*>(values.data()), values.size() * 4));
  else for (float value : values) tensor->add_float_data(value);
  return tensor;
}

inline std::unique_ptr<Graph> ImportProto(const ModelProto& model) {
  const std::string bytes = model.SerializeAsString();
  return ImportOnnxBytes(std::as_bytes(std::span(bytes)), nullptr);
}

// x [2, 3] -> Identity -> y, with a constant: the smallest model with something of everything.
inline ModelProto SmallModel() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {2, 3});
  SetType(graph->add_output(), "y", {2, 3});
  SetType(graph->add_output(), "w2", {2});
  AddFloats(graph, "w", {2}, {1, 2});
  AddNode(graph, "Identity", {"x"}, {"y"})->set_name("copy");
  AddNode(graph, "Identity", {"w"}, {"w2"});
  return model;
}

}  // namespace sluice::test
