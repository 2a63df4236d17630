#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel.h"

// Parameters that one version of an operator takes as an attribute and another as an input. Context is
// InferContext or PrepareContext.

namespace sluice {

// The elements of an integer constant input; nothing where it is absent or its elements are not known.
template <typename Context>
std::optional<std::vector<int64_t>> InputInts(const Context& ctx, int i) {
  const Tensor* tensor = ctx.has_input(i) ? ctx.constant(i) : nullptr;
  if (tensor == nullptr) return std::nullopt;
  if (tensor->dtype() == DataType::kInt64) {
    const auto values = tensor->template values<int64_t>();
    return std::vector<int64_t>(values.begin(), values.end());
  }
  if (tensor->dtype() == DataType::kInt32) {
    const auto values = tensor->template values<int32_t>();
    return std::vector<int64_t>(values.begin(), values.end());
  }
  ctx.Fail("input " + std::to_string(i) + " is " + std::string(DataTypeName(tensor->dtype())) +
           ", expected int64 or int32");
}

// -rank <= axis < rank, made non-negative; fails otherwise.
template <typename Context>
int64_t CheckedAxis(const Context& ctx, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) {
    ctx.Fail("axis " + std::to_string(axis) + " is outside [-" + std::to_string(rank) + ", " +
             std::to_string(rank) + ")");
  }
  return axis < 0 ? axis + rank : axis;
}

// The same for a list, in which no axis may occur twice.
template <typename Context>
std::vector<int64_t> CheckedAxes(const Context& ctx, std::vector<int64_t> axes, int64_t rank) {
  std::vector<bool> seen(static_cast<size_t>(rank), false);
  for (int64_t& axis : axes) {
    axis = CheckedAxis(ctx, axis, rank);
    if (seen[static_cast<size_t>(axis)]) ctx.Fail("axis " + std::to_string(axis) + " occurs twice");
    seen[static_cast<size_t>(axis)] = true;
  }
  return axes;
}

// Every input has the element type of the first.
template <typename Context>
void CheckSameType(const Context& ctx) {
  for (int i = 1; i < ctx.num_inputs(); ++i) {
    if (ctx.has_input(i) && ctx.dtype(i) != ctx.dtype(0)) {
      ctx.Fail("input " + std::to_string(i) + " is " + std::string(DataTypeName(ctx.dtype(i))) +
               ", expected " + std::string(DataTypeName(ctx.dtype(0))));
    }
  }
}

inline std::vector<int64_t> AllAxes(int64_t rank) {
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  return axes;
}

// Fails for the types below 8 bits, whose elements cannot be moved one by one.
inline void CheckMovable(const PrepareContext& ctx, DataType type) {
  if (DataTypeBits(type) < 8) ctx.Unsupported("moving elements of type " + std::string(DataTypeName(type)));
}

}  // namespace sluice
