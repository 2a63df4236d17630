// Changes of one operator each.

#include <array>
#include <cmath>

#include "graph/opset/crossing.h"

namespace sluice {
namespace {

// Until opset 6 types are names.
constexpr std::array<const char*, 17> kTypeNames = {
    "UNDEFINED", "FLOAT",   "UINT8",  "INT8",   "UINT16", "INT16",     "INT32",      "INT64",   "STRING",
    "BOOL",      "FLOAT16", "DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16"};

void CastNameUp(Crossing& c) {
  const std::string name = c.attrs().String("to");
  for (size_t i = 1; i < kTypeNames.size(); ++i) {
    if (name == kTypeNames[i]) return c.attrs().Set("to", static_cast<int64_t>(i));
  }
  c.Fail("there is no type '" + name + "'");
}
void CastNameDown(Crossing& c) {
  const auto to = static_cast<size_t>(c.attrs().Int("to"));
  if (to >= kTypeNames.size()) c.Fail("the type has no name");
  c.attrs().Set("to", std::string(kTypeNames[to]));
}
void CastStringsDown(Crossing& c) {
  if (c.attrs().Int("to") == static_cast<int64_t>(DataType::kString) || c.dtype(0) == DataType::kString) {
    c.Fail("strings are new in version 9");
  }
}

void ConcatUp(Crossing& c) {
  if (!c.attrs().Has("axis")) c.attrs().Set("axis", int64_t{1});
}

void SeluUp(Crossing& c) {
  if (!c.attrs().Has("alpha")) c.attrs().Set("alpha", 1.6732f);
  if (!c.attrs().Has("gamma")) c.attrs().Set("gamma", 1.0507f);
}
void SeluDown(Crossing& c) {
  if (!c.attrs().Has("alpha")) c.attrs().Set("alpha", 1.67326319217681884765625f);
  if (!c.attrs().Has("gamma")) c.attrs().Set("gamma", 1.05070102214813232421875f);
}

void NormUp(Crossing& c) {
  const float p = c.attrs().Float("p", 2);
  if (p != std::floor(p)) c.Fail("p is no whole number");
  c.attrs().Set("p", static_cast<int64_t>(p));
}
void NormDown(Crossing& c) { c.attrs().Set("p", static_cast<float>(c.attrs().Int("p", 2))); }

void MaskUp(Crossing& c) {
  if (!c.UsesOutput(1)) return c.DropOutputs(1);
  const int64_t type = static_cast<int64_t>(c.dtype(0));
  c.ChangeOutput(1, [&](ValueId mask) { return c.build().Op("Cast", {mask}, {{"to", type}}); });
}
void MaskDown(Crossing& c) {
  if (!c.UsesOutput(1)) return c.DropOutputs(1);
  const int64_t type = static_cast<int64_t>(DataType::kBool);
  c.ChangeOutput(1, [&](ValueId mask) { return c.build().Op("Cast", {mask}, {{"to", type}}); });
}
void DropoutTestDown(Crossing& c) { c.attrs().Set("is_test", int64_t{1}); }

void ThirdOperandDown(Crossing& c) {
  if (!c.has_input(2)) c.SetInput(2, c.Constant("zero", c.dtype(0), {1}, {0}));
}

// One type until 12.
void ExponentDown(Crossing& c) {
  if (c.dtype(0) == c.dtype(1)) return;
  if (c.dtype(0) == DataType::kUndefined) c.Fail("the element type of its base is not known");
  c.SetInput(1, c.build().Op("Cast", {c.in(1)}, {{"to", static_cast<int64_t>(c.dtype(0))}}));
}

// The smallest of x are the largest of -x.
void SmallestDown(Crossing& c) {
  c.attrs().Erase("sorted");
  const bool largest = c.attrs().Int("largest", 1) != 0;
  c.attrs().Erase("largest");
  if (largest) return;
  const DataType type = c.dtype(0);
  if (type != DataType::kFloat && type != DataType::kDouble && type != DataType::kFloat16) {
    c.Fail("the smallest elements are asked for");
  }
  c.SetInput(0, c.build().Op("Neg", {c.in(0)}));
  c.ChangeOutput(0, [&](ValueId values) { return c.build().Op("Neg", {values}); });
}

void ScatterUp(Crossing& c) { c.node().op_type = "ScatterElements"; }
void ScatterDown(Crossing& c) { c.node().op_type = "Scatter"; }

void RegionsUp(Crossing& c) {
  c.attrs().Set("coordinate_transformation_mode", std::string("output_half_pixel"));
}
void RegionsDown(Crossing& c) {
  if (c.attrs().String("coordinate_transformation_mode", "half_pixel") != "output_half_pixel") {
    c.Fail("coordinates half_pixel are new in version 16");
  }
  c.attrs().Erase("coordinate_transformation_mode");
}

void RenameMode(Crossing& c, std::string_view from, const char* to) {
  if (c.attrs().String("mode", "") == from) c.attrs().Set("mode", std::string(to));
}
void GridUp(Crossing& c) {
  RenameMode(c, "bilinear", "linear");
  RenameMode(c, "bicubic", "cubic");
}
void GridDown(Crossing& c) {
  if (c.rank(0) != 4) c.Fail("tensors of other ranks than 4 are new in version 20");
  RenameMode(c, "linear", "bilinear");
  RenameMode(c, "cubic", "bicubic");
}

// Scales along an axis are new in 13: one number has no axis.
void ScaleAxisDown(Crossing& c) {
  const ValueType& scale = c.type(c.in(1));
  bool one = scale.has_shape;
  for (const Dim& dim : scale.shape) one &= dim.is(1);
  if (!one) c.Fail("a scale for each channel is new in version 13");
  c.attrs().Erase("axis");
}

void IndicesDown(Crossing& c) {
  if (c.UsesOutput(1)) c.Fail("indices are new in version 8");
  c.DropOutputs(1);
}

void ScanBatch(Crossing& c) { c.Fail("batches of Scan are gone since version 9"); }

constexpr Adapter kAdapters[] = {
    {"Cast", 6, CastNameUp, CastNameDown},
    {"Cast", 9, nullptr, CastStringsDown},
    {"Concat", 4, ConcatUp, nullptr},
    {"Selu", 6, SeluUp, SeluDown},
    {"LpPool GlobalLpPool", 2, NormUp, NormDown},
    {"Dropout", 7, nullptr, DropoutTestDown},
    {"Dropout", 10, MaskUp, MaskDown},
    {"Gemm", 11, nullptr, ThirdOperandDown},
    {"Pow", 12, nullptr, ExponentDown},
    {"TopK", 11, nullptr, SmallestDown},
    {"Scatter", 11, ScatterUp, nullptr},
    {"ScatterElements", 11, nullptr, ScatterDown},
    {"RoiAlign", 16, RegionsUp, RegionsDown},
    {"GridSample", 20, GridUp, GridDown},
    {"QuantizeLinear DequantizeLinear", 13, nullptr, ScaleAxisDown},
    {"MaxPool", 8, nullptr, IndicesDown},
    {"Scan", 9, ScanBatch, ScanBatch},
};

}  // namespace

std::span<const Adapter> SmallAdapters() { return kAdapters; }

}  // namespace sluice
