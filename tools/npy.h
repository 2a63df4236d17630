#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "sluice/tensor.h"

namespace sluice::tools {

// NumPy's .npy format, versions 1.0 to 3.0, either byte order, C and Fortran order. Booleans,
// integers, float16/32/64, complex64/128; byte (S) and Unicode (U) strings become string tensors.
// `place` names the source in messages. Throws Error{kInvalidArgument}: no array of these, or the
// number of bytes is not what the header asks for.
Tensor ParseNpy(std::span<const std::byte> bytes, const std::string& place);
Tensor ReadNpy(const std::string& path);

// Version 1.0, little-endian, C order. NumPy has no such types, so bfloat16 is
// written as float32, int4 and int2 as int8, uint4 and uint2 as uint8, float8 and float4 as the uint8
// of their bits; AsDeclared reverses that.
std::vector<std::byte> FormatNpy(const Tensor& tensor);
void WriteNpy(const std::string& path, const Tensor& tensor);

// `tensor` itself, unless `type` is one that .npy lacks and `tensor` is what is written for it.
Tensor AsDeclared(const Tensor& tensor, DataType type);

}  // namespace sluice::tools
