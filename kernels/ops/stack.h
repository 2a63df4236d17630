#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/narrow.h"
#include "kernels/strided_copy.h"
#include "sluice/error.h"

namespace sluice {

// Copies all tiles at once, on the calling thread.
inline void CopyAll(const StridedCopy& copy, DataType type, const void* src, void* dst) {
  for (int64_t tile = 0; tile < copy.tiles(); ++tile) copy.Run(type, src, dst, tile);
}

// Parts of one element type joined along `axis` (in range); new_axis: that axis is added, so that all
// parts have one shape. Throws Error{kInvalidArgument} that begins with `place` where they do not fit.
inline Tensor Join(const std::string& place, const std::vector<Tensor>& parts, int64_t axis, bool new_axis) {
  const auto at = static_cast<size_t>(axis);
  const DataType type = parts[0].dtype();
  const bool one_type =
      std::all_of(parts.begin(), parts.end(), [&](const Tensor& part) { return part.dtype() == type; });
  if (DataTypeBits(type) < 8 && one_type) {
    std::vector<Tensor> bytes;
    for (const Tensor& part : parts) bytes.push_back(UnpackNarrow(part));
    return PackNarrow(type, Join(place, bytes, axis, new_axis));
  }
  std::vector<Shape> shapes;
  for (const Tensor& part : parts) {
    shapes.push_back(part.shape());
    if (new_axis) shapes.back().insert(shapes.back().begin() + axis, 1);
    Shape same = shapes.back();
    if (same.size() == shapes[0].size()) same[at] = shapes[0][at];
    if (same != shapes[0] || part.dtype() != type) {
      throw Error(ErrorCode::kInvalidArgument,
                  place + ": cannot join " + std::string(DataTypeName(part.dtype())) + " " +
                      ToString(part.shape()) + " to " + std::string(DataTypeName(type)) + " " +
                      ToString(parts[0].shape()) + " along axis " + std::to_string(axis));
    }
  }
  Shape shape = shapes[0];
  shape[at] = 0;
  for (const Shape& s : shapes) shape[at] += s[at];
  Tensor result(type, shape);
  const Shape strides = RowMajorStrides(shape);
  int64_t begin = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    CopyAll(StridedCopy(shapes[i], RowMajorStrides(shapes[i]), strides, 0, begin * strides[at]), type,
            parts[i].data(), result.mutable_data());
    begin += shapes[i][at];
  }
  return result;
}

// The part [begin, begin + size) of an axis, which `drop` (size is 1) takes away.
inline Tensor Cut(const Tensor& whole, int64_t axis, int64_t begin, int64_t size, bool drop) {
  if (DataTypeBits(whole.dtype()) < 8)
    return PackNarrow(whole.dtype(), Cut(UnpackNarrow(whole), axis, begin, size, drop));
  const auto at = static_cast<size_t>(axis);
  Shape shape = whole.shape();
  shape[at] = size;
  const Shape strides = RowMajorStrides(whole.shape());
  Tensor result(whole.dtype(), shape);
  CopyAll(StridedCopy(shape, strides, RowMajorStrides(shape), begin * strides[at], 0), whole.dtype(),
          whole.data(), result.mutable_data());
  if (!drop) return result;
  shape.erase(shape.begin() + axis);
  return result.Reshaped(shape);
}

}  // namespace sluice
