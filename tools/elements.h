#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "sluice/tensor.h"

namespace sluice::tools {

// Calls fn(std::span<const T>) with the tensor's elements if they are numbers or bool; returns false
// for strings, complex numbers and the 8-bit, 4-bit and 2-bit types of machine learning.
template <typename Fn>
bool VisitNumbers(const Tensor& tensor, Fn&& fn) {
  if (tensor.dtype() == DataType::kBool) return fn(tensor.values<uint8_t>()), true;
  return Dispatch(NumericTypes(), tensor.dtype(),
                  [&](auto tag) { fn(tensor.values<typename decltype(tag)::type>()); });
}

// float8, float4, int4, uint4, int2, uint2.
bool IsNarrow(DataType type);

// The bits of every element of a narrow tensor in a byte of its own, int4 and int2 extended by their
// sign; and the way back. Throws Error{kInvalidArgument} where the shape's size is not bytes.size().
std::vector<uint8_t> UnpackNarrow(const Tensor& tensor);
Tensor PackNarrow(DataType type, const Shape& shape, std::vector<uint8_t> bytes);

// Position of element `index` of a row-major tensor of this shape.
Shape PlaceOf(int64_t index, const Shape& shape);

// "float [1, 3, 416, 416]", "sequence of 2 (float)", "none".
std::string DescribeValue(const Value& value);

// Smallest and largest value, mean in double; NaNs are counted and left out.
struct Summary {
  bool known = false;  // false where there are no numbers
  double min = 0;
  double max = 0;
  double mean = 0;
  int64_t nans = 0;
};
Summary Summarize(const Tensor& tensor);

// The value below which a share p in [0, 1] of the sorted samples lies, interpolated between the two
// nearest; 0 without samples.
double Percentile(const std::vector<double>& sorted, double p);

}  // namespace sluice::tools
