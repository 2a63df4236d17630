#pragma once

#include "graph/dim.h"
#include "sluice/tensor.h"
#include "sluice_onnx.pb.h"

namespace sluice {

// Type, shape and, for strings, elements of a tensor; all but the bytes of other elements.
void WriteTensorHeader(const Tensor& tensor, const std::string& name, sluice_onnx::TensorProto* proto);
// With the bytes.
void WriteTensor(const Tensor& tensor, const std::string& name, sluice_onnx::TensorProto* proto);
void WriteType(const ValueType& type, sluice_onnx::TypeProto* proto);

}  // namespace sluice
