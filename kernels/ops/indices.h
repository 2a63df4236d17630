#pragma once

#include <string>

#include "kernels/ops/params.h"
#include "sluice/error.h"

namespace sluice {

// An input of indices, int32 or int64, that elements are looked up by. Every one is checked.
class Indices {
 public:
  Indices() = default;
  Indices(const PrepareContext& ctx, int input) : input_(input), place_(Describe(ctx.node())) {
    wide_ = ctx.dtype(input) == DataType::kInt64;
    if (!wide_ && ctx.dtype(input) != DataType::kInt32) {
      ctx.Fail("indices are " + std::string(DataTypeName(ctx.dtype(input))) + ", expected int32 or int64");
    }
  }

  // Index `i` made non-negative. Throws Error{kInvalidArgument} unless it is in [-size, size).
  int64_t At(const RunContext& ctx, int64_t i, int64_t size) const {
    const int64_t index = wide_ ? ctx.in<int64_t>(input_)[i] : ctx.in<int32_t>(input_)[i];
    if (index < -size || index >= size) {
      throw Error(ErrorCode::kInvalidArgument, place_ + ": index " + std::to_string(index) +
                                                   " is outside [-" + std::to_string(size) + ", " +
                                                   std::to_string(size) + ")");
    }
    return index < 0 ? index + size : index;
  }

 private:
  int input_ = 0;
  bool wide_ = true;
  std::string place_;
};

// Where element `i` of an array of `sizes` lies in one with `strides`, but for its coordinate along `axis`.
inline int64_t OffsetOf(int64_t i, const Shape& sizes, const Shape& strides, size_t axis) {
  int64_t offset = 0;
  for (size_t d = sizes.size(); d-- > 0; i /= sizes[d]) {
    if (d != axis) offset += i % sizes[d] * strides[d];
  }
  return offset;
}

}  // namespace sluice
