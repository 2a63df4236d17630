// Until opset 7 the second operand of a sum broadcasts only where the node says so, aligned at `axis`; from
// then on both broadcast as numpy has it, and from 8 on any number of them.

#include <algorithm>

#include "graph/opset/crossing.h"
#include "graph/passes/match.h"

namespace sluice {
namespace {

using Ints = Crossing::Ints;

// Operand `i` with as many sizes of 1 behind its own as align it at the attribute `axis` of an operand of
// `rank`.
void Align(Crossing& c, int64_t axis, int64_t rank, int64_t own) {
  if (axis < 0) axis += rank;
  const int64_t behind = rank - axis - own;
  if (behind < 0) c.Fail("axis " + std::to_string(axis) + " leaves no room for its second operand");
  if (behind == 0) return;
  const Tensor& constant = c.build().graph().value(c.in(1)).constant;
  if (!constant.empty()) {
    Shape shape = constant.shape();
    shape.resize(shape.size() + static_cast<size_t>(behind), 1);
    c.SetInput(1, c.Reshaped(c.in(1), shape));
    return;
  }
  Ints axes;
  for (int64_t i = 0; i < behind; ++i) axes.push_back(own + i);
  c.SetInput(1, c.build().Unsqueeze(c.in(1), axes));
}

void OperandsUp(Crossing& c) {
  const bool broadcast = c.attrs().Int("broadcast", 0) != 0;
  if (broadcast && c.attrs().Has("axis")) {
    Align(c, c.attrs().Int("axis"), c.NeedRank(0), c.NeedRank(1));
  }
  c.attrs().Erase("broadcast");
  c.attrs().Erase("axis");
}

bool Commutes(const std::string& op) {
  return op == "Add" || op == "Mul" || op == "And" || op == "Or" || op == "Xor" || op == "Equal";
}

void OperandsDown(Crossing& c) {
  const ValueType a = c.type(c.in(0)), b = c.type(c.in(1));
  if (SameShape(a, b)) return;
  if (!BroadcastsTo(b, a)) {
    if (!Commutes(c.node().op_type) || !BroadcastsTo(a, b)) {
      c.Fail("its second operand does not for certain broadcast to the first");
    }
    const ValueId first = c.in(0), second = c.in(1);
    c.SetInput(0, second);
    c.SetInput(1, first);
    return OperandsDown(c);
  }
  c.attrs().Set("broadcast", int64_t{1});
  // The part of b's shape between ones at both ends lies somewhere in a's.
  size_t begin = 0, end = b.shape.size();
  while (begin < end && b.shape[begin].is(1)) ++begin;
  while (end > begin && b.shape[end - 1].is(1)) --end;
  const size_t lead = a.shape.size() - b.shape.size();
  for (size_t i = begin; i < end; ++i) {
    if (!(b.shape[i] == a.shape[lead + i]))
      c.Fail("its second operand broadcasts in the middle of its shape");
  }
  if (begin == 0 && end == b.shape.size()) return;  // a suffix, which needs no axis
  if (begin == end && b.shape.size() <= 1) return;  // one number
  Shape shape;
  for (size_t i = begin; i < end; ++i) shape.push_back(b.shape[i].known() ? b.shape[i].value() : 0);
  if (std::count(shape.begin(), shape.end(), 0) > 0) c.Fail("a size of its second operand is not known");
  if (begin == end)
    shape = {1};
  else
    c.attrs().Set("axis", static_cast<int64_t>(lead + begin));
  c.SetInput(1, c.Reshaped(c.in(1), shape));
}

// A list of slopes lies along the channels until opset 7.
void SlopesUp(Crossing& c) {
  const ValueType& slope = c.type(c.in(1));
  if (!slope.has_shape) c.Fail("the shape of its slopes is not known");
  if (slope.shape.size() != 1 || slope.shape[0].is(1)) return;
  const int64_t rank = c.NeedRank(0);
  if (rank > 2) Align(c, 1, rank, 1);
}
void SlopesDown(Crossing& c) {
  const ValueType x = c.type(c.in(0)), slope = c.type(c.in(1));
  if (!slope.has_shape || !x.has_shape) c.Fail("the shapes of its inputs are not known");
  const size_t rank = x.shape.size(), own = slope.shape.size();
  int64_t channels = 1;
  for (size_t i = 0; i < own; ++i) {
    if (slope.shape[i].is(1)) continue;
    if (rank - own + i != 1 || !slope.shape[i].known()) c.Fail("its slopes do not lie along the channels");
    channels = slope.shape[i].value();
  }
  if (own != 1) c.SetInput(1, c.Reshaped(c.in(1), {channels}));
}

void ProductUp(Crossing& c) { c.attrs().Erase("broadcast"); }
void ProductDown(Crossing& c) { c.attrs().Set("broadcast", int64_t{1}); }

// Any number of operands, all of one shape until opset 8.
void ManyDown(Crossing& c) {
  const size_t count = c.node().inputs.size();
  bool same = true;
  for (size_t i = 1; i < count; ++i) same &= SameShape(c.type(c.in(0)), c.type(c.in(i)));
  if (same || count == 1) return;
  const std::string op = c.node().op_type;
  if (op == "Sum" || op == "Mean") {
    ValueId sum = c.in(0);
    for (size_t i = 1; i < count; ++i) sum = c.build().Op("Add", {sum, c.in(i)});
    if (op == "Mean")
      sum = c.build().Op("Mul", {sum, c.Scalar("share", c.dtype(0), 1.0 / static_cast<double>(count))});
    return c.Replace(sum);
  }
  const size_t number = count == 2 && c.numbers(1) ? 1 : 0;
  const auto bound = c.numbers(number);
  if (count != 2 || !bound || bound->size() != 1) c.Fail("its operands are not for certain of one shape");
  c.Replace(c.build().Op("Clip", {c.in(1 - number)},
                         {{op == "Max" ? "min" : "max", static_cast<float>(bound->front())}}));
}

constexpr Adapter kAdapters[] = {
    {"Add Sub Mul Div And Or Xor Equal Greater Less Pow", 7, OperandsUp, OperandsDown},
    {"PRelu", 7, SlopesUp, SlopesDown},
    {"Gemm", 7, ProductUp, ProductDown},
    {"Max Min Sum Mean", 8, nullptr, ManyDown},
};

}  // namespace

std::span<const Adapter> BroadcastingAdapters() { return kAdapters; }

}  // namespace sluice
