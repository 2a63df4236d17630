// Attributes that became inputs: axes, pads, limits, scales. Down only where the input is constant.

#include <algorithm>
#include <cmath>

#include "graph/opset/crossing.h"

namespace sluice {
namespace {

using Ints = Crossing::Ints;

void IntsUp(Crossing& c, const char* name, size_t input) {
  if (!c.attrs().Has(name)) return;
  const Ints values = c.attrs().Ints(name);
  c.attrs().Erase(name);
  c.SetInput(input, c.build().Ints(name, values));
}

// The attribute that input `input` becomes; the caller drops the input.
void IntsDown(Crossing& c, const char* name, size_t input) {
  if (const auto values = c.NeedInts(input, name)) c.attrs().Set(name, *values);
}

void AxesUp(Crossing& c) { IntsUp(c, "axes", 1); }
void AxesDown(Crossing& c) {
  IntsDown(c, "axes", 1);
  c.DropInputs(1);
}

// An empty list of axes means all of them, as none does.
void ReducedAxesDown(Crossing& c) {
  const bool nothing = c.attrs().Int("noop_with_empty_axes", 0) != 0;
  c.attrs().Erase("noop_with_empty_axes");
  auto axes = c.NeedInts(1, "axes");
  c.DropInputs(1);
  if (axes && !axes->empty()) {
    c.attrs().Set("axes", *axes);
    return;
  }
  if (!nothing) return;
  // Each element is reduced alone.
  const std::string op = c.node().op_type;
  const ValueId x = c.in(0);
  if (op == "ReduceL1" || op == "ReduceL2") return c.Replace(c.build().Op("Abs", {x}));
  if (op == "ReduceSumSquare") return c.Replace(c.build().Op("Mul", {x, x}));
  if (op == "ReduceLogSum") return c.Replace(c.build().Op("Log", {x}));
  c.Replace(x);
}

void SplitUp(Crossing& c) { IntsUp(c, "split", 1); }
void SplitDown(Crossing& c) {
  IntsDown(c, "split", 1);
  c.DropInputs(1);
}

// From 18 on either the sizes or the number of parts is stated.
void SplitCountUp(Crossing& c) {
  if (!c.has_input(1)) c.attrs().Set("num_outputs", static_cast<int64_t>(c.node().outputs.size()));
}
void SplitCountDown(Crossing& c) {
  const auto parts = static_cast<int64_t>(c.node().outputs.size());
  c.attrs().Erase("num_outputs");
  if (c.has_input(1)) return;
  int64_t axis = c.attrs().Int("axis", 0);
  if (axis < 0) axis += c.NeedRank(0);
  const ValueType& type = c.type(c.in(0));
  if (!type.has_shape || !type.shape.at(static_cast<size_t>(axis)).known()) {
    c.Fail("the size of the axis that it splits is not known, so neither is whether all parts are equal");
  }
  const int64_t size = type.shape[static_cast<size_t>(axis)].value();
  if (size % parts == 0) return;
  const int64_t part = (size + parts - 1) / parts;
  Ints sizes(static_cast<size_t>(parts), part);
  sizes.back() = size - part * (parts - 1);
  c.SetInput(1, c.build().Ints("split", sizes));
}

// Version 1 may have the sizes as an input.
void OldSplitUp(Crossing& c) {
  if (!c.attrs().Has("axis")) c.attrs().Set("axis", int64_t{0});
  if (c.has_input(1)) SplitDown(c);
}
void OldSplitDown(Crossing& c) {
  if (!c.attrs().Has("axis")) c.attrs().Set("axis", int64_t{0});
}

void ShapeUp(Crossing& c) { IntsUp(c, "shape", 1); }
void ShapeDown(Crossing& c) {
  IntsDown(c, "shape", 1);
  c.DropInputs(1);
}

void CountUp(Crossing& c) {
  const int64_t k = c.attrs().Int("k");
  c.attrs().Erase("k");
  c.SetInput(1, c.build().Ints("k", {k}));
}
void CountDown(Crossing& c) {
  const auto k = c.NeedInts(1, "k");
  if (!k || k->size() != 1) c.Fail("k is not one number");
  c.attrs().Set("k", k->front());
  c.DropInputs(1);
}

void PadsUp(Crossing& c) {
  IntsUp(c, "pads", 1);
  const float value = c.attrs().Float("value", 0);
  c.attrs().Erase("value");
  if (value != 0) c.SetInput(2, c.Scalar("value", c.dtype(0), static_cast<double>(value)));
}
void PadsDown(Crossing& c) {
  IntsDown(c, "pads", 1);
  if (const auto value = c.NeedNumbers(2, "value"))
    c.attrs().Set("value", static_cast<float>(value->front()));
  c.DropInputs(1);
}

// Pads of some axes alone.
void PadAxesDown(Crossing& c) {
  if (!c.has_input(3)) return;
  const auto axes = c.NeedInts(3, "axes"), pads = c.NeedInts(1, "pads");
  const int64_t rank = c.NeedRank(0);
  if (pads->size() != 2 * axes->size()) c.Fail("it has not two pads for each axis");
  Ints all(static_cast<size_t>(2 * rank), 0);
  for (size_t i = 0; i < axes->size(); ++i) {
    const int64_t axis = (*axes)[i] < 0 ? (*axes)[i] + rank : (*axes)[i];
    if (axis < 0 || axis >= rank) c.Fail("an axis is out of range");
    all[static_cast<size_t>(axis)] = (*pads)[i];
    all[static_cast<size_t>(axis + rank)] = (*pads)[i + axes->size()];
  }
  c.SetInput(1, c.build().Ints("pads", all));
  c.DropInputs(3);
}

void WrapDown(Crossing& c) {
  if (c.attrs().String("mode", "constant") == "wrap") c.Fail("mode is wrap");
}

void OldPadsUp(Crossing& c) {
  c.attrs().Set("pads", c.attrs().Ints("paddings"));
  c.attrs().Erase("paddings");
}
void OldPadsDown(Crossing& c) {
  c.attrs().Set("paddings", c.attrs().Ints("pads"));
  c.attrs().Erase("pads");
}

constexpr std::pair<const char*, size_t> kLimits[] = {{"min", 1}, {"max", 2}};

void LimitsUp(Crossing& c) {
  for (const auto& [name, input] : kLimits) {
    if (!c.attrs().Has(name)) continue;
    const float limit = c.attrs().Float(name);
    c.attrs().Erase(name);
    c.SetInput(input, c.Scalar(name, c.dtype(0), static_cast<double>(limit)));
  }
}
void LimitsDown(Crossing& c) {
  const bool known = (!c.has_input(1) || c.numbers(1)) && (!c.has_input(2) || c.numbers(2));
  if (!known) {
    ValueId x = c.in(0);
    if (c.has_input(1)) x = c.build().Op("Max", {x, c.in(1)});
    if (c.has_input(2)) x = c.build().Op("Min", {x, c.in(2)});
    return c.Replace(x);
  }
  for (const auto& [name, input] : kLimits) {
    if (const auto limit = c.numbers(input)) c.attrs().Set(name, static_cast<float>(limit->front()));
  }
  c.DropInputs(1);
}

void SliceUp(Crossing& c) {
  IntsUp(c, "starts", 1);
  IntsUp(c, "ends", 2);
  IntsUp(c, "axes", 3);
}
// Where a step is not 1: the places that remain, gathered.
ValueId GatherSteps(Crossing& c, const Ints& steps) {
  const ValueType type = c.type(c.in(0));
  const auto starts = c.NeedInts(1, "starts"), ends = c.NeedInts(2, "ends"), axes = c.NeedInts(3, "axes");
  ValueId x = c.in(0);
  for (size_t i = 0; i < steps.size(); ++i) {
    int64_t axis = axes ? (*axes)[i] : static_cast<int64_t>(i);
    if (axis < 0) axis += c.NeedRank(0);
    if (!type.has_shape || !type.shape.at(static_cast<size_t>(axis)).known()) {
      c.Fail("a step is not 1, and the size of its axis is not known; --shape may tell");
    }
    const int64_t size = type.shape[static_cast<size_t>(axis)].value(), step = steps[i];
    // Backwards, the last place that may be named is before the first.
    const auto clamp = [&](int64_t at) {
      if (at < 0) at = std::max(at, -size - 1) + size;
      return step > 0 ? std::clamp<int64_t>(at, 0, size) : std::clamp<int64_t>(at, -1, size - 1);
    };
    Ints places;
    const int64_t end = clamp((*ends)[i]);
    for (int64_t at = clamp((*starts)[i]); step > 0 ? at < end : at > end; at += step) places.push_back(at);
    x = c.build().Op("Gather", {x, c.build().Ints("places", places)}, {{"axis", axis}});
  }
  return x;
}

void SliceDown(Crossing& c) {
  if (const auto steps = c.NeedInts(4, "steps")) {
    if (std::any_of(steps->begin(), steps->end(), [](int64_t step) { return step != 1; })) {
      return c.Replace(GatherSteps(c, *steps));
    }
  }
  IntsDown(c, "starts", 1);
  IntsDown(c, "ends", 2);
  IntsDown(c, "axes", 3);
  c.DropInputs(1);
}

void RatioUp(Crossing& c) {
  if (!c.attrs().Has("ratio")) return;
  c.SetInput(1, c.build().Scalar("ratio", c.attrs().Float("ratio")));
  c.attrs().Erase("ratio");
}
void RatioDown(Crossing& c) {
  if (c.has_input(2)) {
    const Tensor& training = c.build().graph().value(c.in(2)).constant;
    if (training.empty() || *static_cast<const uint8_t*>(training.data()) != 0)
      c.Fail("it may be asked to train");
  }
  if (const auto ratio = c.numbers(1)) c.attrs().Set("ratio", static_cast<float>(ratio->front()));
  c.attrs().Erase("seed");
  c.DropInputs(1);
  if (!c.UsesOutput(1)) return;
  // What the mask is where nothing is dropped, older versions leave open: all true, whatever x holds.
  c.ChangeOutput(1, [&](ValueId) {
    const ValueId some = c.build().Op("Cast", {c.in(0)}, {{"to", static_cast<int64_t>(DataType::kBool)}});
    return c.build().Op("Or", {some, c.build().Op("Not", {some})});
  });
  c.DropOutputs(1);
}

void TransformAxisUp(Crossing& c) {
  const int64_t axis = c.attrs().Int("axis", 1);
  c.attrs().Erase("axis");
  c.SetInput(2, c.build().Constant("axis", Tensor::Scalar<int64_t>(axis)));
}
void TransformAxisDown(Crossing& c) {
  const auto axis = c.NeedInts(2, "axis");
  int64_t value = axis ? axis->front() : -2;
  if (value < 0) value += c.NeedRank(0);
  c.attrs().Set("axis", value);
  c.DropInputs(2);
}

// Version 1 repeats along one axis.
void TileUp(Crossing& c) {
  const auto tiles = c.NeedInts(1, "tiles"), axis = c.NeedInts(2, "axis");
  const int64_t rank = c.NeedRank(0);
  if (!tiles || !axis || axis->front() < 0 || axis->front() >= rank) c.Fail("tiles or axis are not there");
  Ints repeats(static_cast<size_t>(rank), 1);
  repeats[static_cast<size_t>(axis->front())] = tiles->front();
  c.DropInputs(1);
  c.SetInput(1, c.build().Ints("repeats", repeats));
}
void TileDown(Crossing& c) {
  const auto repeats = c.NeedInts(1, "repeats");
  size_t axis = 0, repeated = 0;
  for (size_t i = 0; repeats && i < repeats->size(); ++i) {
    if ((*repeats)[i] != 1) axis = i, ++repeated;
  }
  if (!repeats || repeats->empty() || repeated > 1) c.Fail("it repeats along more than one axis");
  c.DropInputs(1);
  c.SetInput(1, c.build().Constant("tiles", Tensor::Scalar<int64_t>((*repeats)[axis])));
  c.SetInput(2, c.build().Constant("axis", Tensor::Scalar<int64_t>(static_cast<int64_t>(axis))));
}

constexpr Adapter kAdapters[] = {
    {"Squeeze Unsqueeze", 13, AxesUp, AxesDown},
    {"ReduceSum", 13, AxesUp, ReducedAxesDown},
    {"ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
     "ReduceSumSquare",
     18, AxesUp, ReducedAxesDown},
    {"Split", 2, OldSplitUp, OldSplitDown},
    {"Split", 13, SplitUp, SplitDown},
    {"Split", 18, SplitCountUp, SplitCountDown},
    {"Reshape", 5, ShapeUp, ShapeDown},
    {"Tile", 6, TileUp, TileDown},
    {"TopK", 10, CountUp, CountDown},
    {"Pad", 2, OldPadsUp, OldPadsDown},
    {"Pad", 11, PadsUp, PadsDown},
    {"Pad", 18, nullptr, PadAxesDown},
    {"Pad", 19, nullptr, WrapDown},
    {"Clip", 11, LimitsUp, LimitsDown},
    {"Slice", 10, SliceUp, SliceDown},
    {"Dropout", 12, RatioUp, RatioDown},
    {"DFT", 20, TransformAxisUp, TransformAxisDown},
};

}  // namespace

std::span<const Adapter> MovedAttributeAdapters() { return kAdapters; }

}  // namespace sluice
