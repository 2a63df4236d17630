#include "graph/export_tensor.h"

namespace sluice {

void WriteTensorHeader(const Tensor& tensor, const std::string& name, sluice_onnx::TensorProto* proto) {
  proto->set_name(name);
  proto->set_data_type(static_cast<int>(tensor.dtype()));
  for (int64_t size : tensor.shape()) proto->add_dims(size);
  if (tensor.dtype() != DataType::kString) return;
  for (const std::string& text : tensor.values<std::string>()) proto->add_string_data(text);
}

void WriteTensor(const Tensor& tensor, const std::string& name, sluice_onnx::TensorProto* proto) {
  WriteTensorHeader(tensor, name, proto);
  if (tensor.dtype() != DataType::kString) {
    proto->set_raw_data(tensor.data(), static_cast<size_t>(tensor.byte_size()));
  }
}

void WriteType(const ValueType& type, sluice_onnx::TypeProto* proto) {
  if (type.kind == ValueType::Kind::kOptional) proto = proto->mutable_optional_type()->mutable_elem_type();
  if (type.kind == ValueType::Kind::kSequence) proto = proto->mutable_sequence_type()->mutable_elem_type();
  if (type.dtype == DataType::kUndefined) return;
  if (type.key_type != DataType::kUndefined) {
    proto->mutable_map_type()->set_key_type(static_cast<int>(type.key_type));
    proto = proto->mutable_map_type()->mutable_value_type();
  }
  auto* tensor = proto->mutable_tensor_type();
  tensor->set_elem_type(static_cast<int>(type.dtype));
  if (!type.has_shape) return;
  tensor->mutable_shape();
  for (const Dim& dim : type.shape) {
    auto* written = tensor->mutable_shape()->add_dim();
    if (dim.known())
      written->set_dim_value(dim.value());
    else if (!dim.symbol().empty())
      written->set_dim_param(dim.symbol());
  }
}

}  // namespace sluice
