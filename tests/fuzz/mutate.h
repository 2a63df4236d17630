#pragma once

#include <random>
#include <string>

#include "sluice_onnx.pb.h"

namespace sluice::test {

// Damages a serialized ONNX model: either its bytes, so that the reader is tested, or its messages, so
// that what follows the reader is. The same engine state gives the same damage.
class Mutator {
 public:
  explicit Mutator(uint32_t seed) : engine_(seed) {}

  std::string Mutate(const std::string& model) {
    if (Below(3) == 0) return MutateBytes(model);
    sluice_onnx::ModelProto proto;
    if (!proto.ParseFromString(model) || proto.graph().node_size() == 0) return MutateBytes(model);
    for (size_t i = 0, count = 1 + Below(3); i < count; ++i) MutateMessages(proto);
    return proto.SerializeAsString();
  }

 private:
  size_t Below(size_t n) { return static_cast<size_t>(engine_()) % n; }

  int64_t OddInteger() {
    static constexpr int64_t kOdd[] = {0,
                                       -1,
                                       1,
                                       2,
                                       3,
                                       7,
                                       -2,
                                       255,
                                       1 << 16,
                                       (1LL << 31) - 1,
                                       -(1LL << 31),
                                       1LL << 32,
                                       INT64_MAX,
                                       INT64_MIN,
                                       INT64_MAX - 1,
                                       1LL << 40};
    return kOdd[Below(std::size(kOdd))];
  }

  std::string MutateBytes(std::string bytes) {
    if (bytes.empty()) return bytes;
    for (size_t i = 0, count = 1 + Below(8); i < count && !bytes.empty(); ++i) {
      const size_t at = Below(bytes.size());
      switch (Below(6)) {
        case 0:
          bytes[at] = static_cast<char>(engine_());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8)));
          break;
        case 2:
          bytes.resize(at);
          break;
        case 3:
          bytes.erase(at, 1 + Below(16));
          break;
        case 4:
          bytes.insert(at, bytes.substr(Below(bytes.size()), Below(64)));
          break;
        case 5:
          bytes.insert(at, 1 + Below(12), static_cast<char>(0xff));
          break;
      }
    }
    return bytes;
  }

  void MutateTensor(sluice_onnx::TensorProto* tensor) {
    switch (Below(5)) {
      case 0:
        tensor->set_data_type(static_cast<int>(Below(30)));
        break;
      case 1:
        tensor->add_dims(OddInteger());
        break;
      case 2:
        if (tensor->dims_size() > 0)
          tensor->set_dims(static_cast<int>(Below(static_cast<size_t>(tensor->dims_size()))), OddInteger());
        break;
      case 3:
        tensor->clear_raw_data();
        break;
      case 4:
        if (tensor->int64_data_size() > 0)
          tensor->set_int64_data(0, OddInteger());
        else if (tensor->raw_data().size() >= 8) {
          const int64_t value = OddInteger();
          std::string raw = tensor->raw_data();
          raw.replace(0, 8, reinterpret_cast<const char*>(&value), 8);
          tensor->set_raw_data(raw);
        }
        break;
    }
  }

  void MutateAttribute(sluice_onnx::AttributeProto* attribute) {
    switch (Below(6)) {
      case 0:
        attribute->set_i(OddInteger());
        break;
      case 1:
        if (attribute->ints_size() > 0)
          attribute->set_ints(static_cast<int>(Below(static_cast<size_t>(attribute->ints_size()))),
                              OddInteger());
        else
          attribute->set_name(attribute->name() + "x");
        break;
      case 2:
        attribute->add_ints(OddInteger());
        break;
      case 3:
        attribute->set_type(static_cast<sluice_onnx::AttributeProto::AttributeType>(1 + Below(14)));
        break;
      case 4:
        attribute->set_s(Below(2) ? "" : "no such mode");
        break;
      case 5:
        if (attribute->has_t())
          MutateTensor(attribute->mutable_t());
        else
          attribute->set_f(Below(2) ? -1e30f : std::numeric_limits<float>::quiet_NaN());
        break;
    }
  }

  void MutateType(sluice_onnx::ValueInfoProto* info) {
    auto* tensor = info->mutable_type()->mutable_tensor_type();
    switch (Below(4)) {
      case 0:
        tensor->set_elem_type(static_cast<int>(Below(30)));
        break;
      case 1:
        tensor->mutable_shape()->add_dim()->set_dim_value(static_cast<int64_t>(Below(4)));
        break;
      case 2:
        tensor->clear_shape();
        break;
      case 3:
        if (tensor->shape().dim_size() > 0)
          tensor->mutable_shape()
              ->mutable_dim(static_cast<int>(Below(static_cast<size_t>(tensor->shape().dim_size()))))
              ->set_dim_value(OddInteger());
        break;
    }
  }

  void MutateMessages(sluice_onnx::ModelProto& model) {
    auto* graph = model.mutable_graph();
    auto* node = graph->mutable_node(static_cast<int>(Below(static_cast<size_t>(graph->node_size()))));
    const auto pick = [&](auto* list) {
      return list->Mutable(static_cast<int>(Below(static_cast<size_t>(list->size()))));
    };
    switch (Below(12)) {
      case 0:
        if (node->attribute_size() > 0) MutateAttribute(pick(node->mutable_attribute()));
        break;
      case 1:
        if (node->attribute_size() > 0) node->mutable_attribute()->RemoveLast();
        break;
      case 2:
        if (node->input_size() > 0) *pick(node->mutable_input()) = "";
        break;
      case 3:
        if (node->input_size() > 0) node->mutable_input()->RemoveLast();
        break;
      case 4:
        if (node->output_size() > 0) node->add_input(node->output(0));
        break;
      case 5:
        node->add_output("extra");
        break;
      case 6:
        if (graph->initializer_size() > 0) MutateTensor(pick(graph->mutable_initializer()));
        break;
      case 7:
        if (graph->input_size() > 0) MutateType(pick(graph->mutable_input()));
        break;
      case 8:
        if (graph->output_size() > 0) MutateType(pick(graph->mutable_output()));
        break;
      case 9:
        if (model.opset_import_size() > 0)
          model.mutable_opset_import(0)->set_version(Below(2) ? static_cast<int64_t>(Below(30))
                                                              : OddInteger());
        break;
      case 10:
        node->set_op_type(
            graph->node(static_cast<int>(Below(static_cast<size_t>(graph->node_size())))).op_type() +
            (Below(4) ? "" : "X"));
        break;
      case 11:
        if (node->attribute_size() > 0) MutateAttribute(pick(node->mutable_attribute()));
        break;
    }
  }

  std::mt19937 engine_;
};

}  // namespace sluice::test
