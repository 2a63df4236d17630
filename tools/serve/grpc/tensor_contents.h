#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "inference.pb.h"
#include "sluice/tensor.h"

namespace sluice::serve::rpc {

using InputTensor = inference::ModelInferRequest::InferInputTensor;

// A tensor's elements as the protocol carries them in bytes: little-endian and row-major, BOOL one byte,
// BYTES a length of four bytes before each. Numbers borrow `bytes`, which `owner` keeps; strings are copied.
// Throws ServeError{kInvalid} where type, shape and bytes do not fit; `name` is for messages.
Tensor FromRaw(std::string_view name, DataType type, const Shape& shape, std::string_view bytes,
               std::shared_ptr<const void> owner);

// The same from the typed fields of `input`, which `owner` keeps. FP16 and BF16 have none.
Tensor FromContents(const InputTensor& input, DataType type, const Shape& shape,
                    std::shared_ptr<const void> owner);

// Whether any typed field of `input` has elements.
bool HasContents(const InputTensor& input);

// BYTES in the protocol's form. `strings` is of DataType::kString.
std::string ToRaw(const Tensor& strings);

}  // namespace sluice::serve::rpc
