// Softmax and its kin normalise all axes from `axis` on until opset 13, one axis from then on. Until opset 11
// axes are counted from the front.

#include <algorithm>

#include "graph/opset/crossing.h"

namespace sluice {
namespace {

using Ints = Crossing::Ints;

// The axis that alone has more than one element among those from `axis` on; nothing if that is not certain.
std::optional<int64_t> OnlyAxis(const ValueType& type, int64_t axis) {
  if (!type.has_shape) return std::nullopt;
  const auto rank = static_cast<int64_t>(type.shape.size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  std::optional<int64_t> only;
  for (int64_t i = axis; i < rank; ++i) {
    if (type.shape[static_cast<size_t>(i)].is(1)) continue;
    if (only) return std::nullopt;
    only = i;
  }
  return only ? only : std::optional(rank - 1);
}

void SoftmaxUp(Crossing& c) {
  const int64_t axis = c.attrs().Int("axis", 1);
  if (const auto only = OnlyAxis(c.type(c.in(0)), axis)) {
    c.attrs().Set("axis", *only);
    return;
  }
  const ValueId x = c.in(0);
  c.SetInput(0, c.build().Op("Flatten", {x}, {{"axis", axis}}));
  c.attrs().Set("axis", int64_t{-1});
  c.ChangeOutput(0, [&](ValueId flat) {
    return c.build().Op("Reshape", {flat, c.build().Op("Shape", {x})});
  });
}

void SoftmaxDown(Crossing& c) {
  const int64_t axis = c.attrs().Int("axis", -1);
  const ValueType type = c.type(c.in(0));
  if (!type.has_shape) {
    if (axis != -1) c.NeedRank(0);
    c.attrs().Set("axis", axis);
    return;
  }
  const auto rank = static_cast<int64_t>(type.shape.size());
  const int64_t at = axis < 0 ? axis + rank : axis;
  const auto only = OnlyAxis(type, at);
  if (rank == 0 || (only && (*only == at || type.shape[static_cast<size_t>(at)].is(1)))) {
    c.attrs().Set("axis", std::max<int64_t>(at, 0));
    return;
  }
  Ints perm(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i) perm[static_cast<size_t>(i)] = i;
  std::swap(perm[static_cast<size_t>(at)], perm.back());
  c.SetInput(0, c.build().Transpose(c.in(0), perm));
  c.attrs().Set("axis", rank - 1);
  c.ChangeOutput(0, [&](ValueId last) { return c.build().Transpose(last, perm); });
}

void FromFront(Crossing& c) {
  const bool inserts = c.node().op_type == "Unsqueeze" || c.node().op_type == "OneHot";
  const auto from_front = [&](int64_t axis, int64_t inserted) {
    if (axis >= 0) return axis;
    return axis + c.NeedRank(0) + (inserts ? inserted : 0);
  };
  if (c.attrs().Has("axis")) c.attrs().Set("axis", from_front(c.attrs().Int("axis"), 1));
  // Defaults that count from the end.
  else if (c.node().op_type == "TopK" || c.node().op_type == "OneHot")
    c.attrs().Set("axis", from_front(-1, 1));
  if (c.attrs().Has("axes")) {
    Ints axes = c.attrs().Ints("axes");
    for (int64_t& axis : axes) axis = from_front(axis, static_cast<int64_t>(axes.size()));
    c.attrs().Set("axes", axes);
  }
}

void SliceFromFront(Crossing& c) {
  const auto axes = c.ints(3);
  if (!axes || std::none_of(axes->begin(), axes->end(), [](int64_t axis) { return axis < 0; })) return;
  Ints from_front = *axes;
  for (int64_t& axis : from_front) {
    if (axis < 0) axis += c.NeedRank(0);
  }
  c.SetInput(3, c.build().Ints("axes", from_front));
}

constexpr Adapter kAdapters[] = {
    {"Softmax LogSoftmax Hardmax", 13, SoftmaxUp, SoftmaxDown},
    {"ArgMax ArgMin Compress Concat Flatten Gather Hardmax LogSoftmax OneHot ReduceL1 ReduceL2 ReduceLogSum "
     "ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare ScatterElements "
     "Softmax "
     "Split Squeeze TopK Unsqueeze",
     11, nullptr, FromFront},
    {"Slice", 11, nullptr, SliceFromFront},
};

}  // namespace

std::span<const Adapter> AxisAdapters() { return kAdapters; }

}  // namespace sluice
