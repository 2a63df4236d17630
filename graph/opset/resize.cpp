// Upsample became Resize in opset 10, which got coordinate modes, rounding and sizes in 11 and more after it.

#include <algorithm>
#include <cmath>

#include "graph/opset/crossing.h"

namespace sluice {
namespace {

using Ints = Crossing::Ints;
using Numbers = Crossing::Numbers;
constexpr size_t kRoi = 1, kScales = 2, kSizes = 3;

ValueId Floats(Crossing& c, const Numbers& values) {
  return c.build().Floats("scales", std::vector<float>(values.begin(), values.end()));
}
bool AllOf(const Numbers& values, bool (*test)(double)) {
  return std::all_of(values.begin(), values.end(), test);
}
bool IsWhole(double scale) { return scale >= 1 && scale == std::floor(scale); }

void UpsampleScalesUp(Crossing& c) {  // version 1: height and width
  c.attrs().Set("scales",
                std::vector<float>{1, 1, c.attrs().Float("height_scale"), c.attrs().Float("width_scale")});
  c.attrs().Erase("height_scale");
  c.attrs().Erase("width_scale");
  if (c.attrs().String("mode", "nearest") == "bilinear") c.attrs().Set("mode", std::string("linear"));
}
void UpsampleScalesDown(Crossing& c) {
  const std::vector<float> scales = c.attrs().Floats("scales");
  if (scales.size() != 4 || scales[0] != 1 || scales[1] != 1) c.Fail("not only height and width grow");
  c.attrs().Set("height_scale", scales[2]);
  c.attrs().Set("width_scale", scales[3]);
  c.attrs().Erase("scales");
  if (c.attrs().String("mode", "nearest") == "linear") c.attrs().Set("mode", std::string("bilinear"));
}

void UpsampleInputUp(Crossing& c) {
  const std::vector<float> scales = c.attrs().Floats("scales");
  c.attrs().Erase("scales");
  c.SetInput(1, c.build().Floats("scales", scales));
}
void UpsampleInputDown(Crossing& c) {
  const auto scales = c.NeedNumbers(1, "scales");
  if (!scales) c.Fail("it has no scales");
  c.attrs().Set("scales", std::vector<float>(scales->begin(), scales->end()));
  c.DropInputs(1);
}

void UpsampleToResize(Crossing& c) { c.node().op_type = "Resize"; }
void ResizeToUpsample(Crossing& c) {
  const auto scales = c.numbers(1);
  if (scales && !AllOf(*scales, [](double scale) { return scale >= 1; })) c.Fail("it shrinks its input");
  c.node().op_type = "Upsample";
}

// Version 10 maps output i to input i / scale, and rounds down where it grows and up where it shrinks.
void ModesUp(Crossing& c) {
  const ValueId scales = c.in(1);
  const auto known = c.numbers(1);
  const bool grows = !known || AllOf(*known, [](double scale) { return scale >= 1; });
  if (!grows && !AllOf(*known, [](double scale) { return scale <= 1; }))
    c.Fail("it grows one axis and shrinks another");
  c.DropInputs(1);
  if (c.opset() < 13) c.SetInput(kRoi, c.build().Floats("roi", {}));
  c.SetInput(kScales, scales);
  c.attrs().Set("coordinate_transformation_mode", std::string("asymmetric"));
  if (c.attrs().String("mode", "nearest") == "nearest")
    c.attrs().Set("nearest_mode", std::string(grows ? "floor" : "ceil"));
}

// Scales that give the constant sizes, where the input's are known.
std::optional<Numbers> ScalesOf(Crossing& c) {
  if (const auto scales = c.numbers(kScales); scales && !scales->empty()) return scales;
  const auto sizes = c.ints(kSizes);
  const ValueType& type = c.type(c.in(0));
  if (!sizes || !type.has_shape || type.shape.size() != sizes->size()) return std::nullopt;
  Numbers scales;
  for (size_t i = 0; i < sizes->size(); ++i) {
    if (!type.shape[i].known() || type.shape[i].value() == 0) return std::nullopt;
    scales.push_back(static_cast<double>((*sizes)[i]) / static_cast<double>(type.shape[i].value()));
  }
  return scales;
}

// Whether version 10 would read the same elements.
bool IsSimple(const std::string& mode, const std::string& coordinates, const std::string& rounding,
              const std::optional<Numbers>& scales) {
  const auto all = [&](bool (*test)(double)) { return scales && AllOf(*scales, test); };
  if (all([](double scale) { return scale == 1; })) return true;
  if (mode == "linear") return coordinates == "asymmetric";
  if (mode != "nearest") return false;
  if (coordinates == "asymmetric") {
    if (all([](double scale) { return scale >= 1; })) return rounding == "floor";
    return all([](double scale) { return scale <= 1; }) && rounding == "ceil";
  }
  // The centre of each copy of an element lies nearest to that element.
  const bool centres = coordinates == "half_pixel" || coordinates == "pytorch_half_pixel";
  return centres && rounding.starts_with("round") && all(IsWhole);
}

void ModesDown(Crossing& c) {
  const auto scales = ScalesOf(c);
  const std::string mode = c.attrs().String("mode", "nearest");
  const std::string coordinates = c.attrs().String("coordinate_transformation_mode", "half_pixel");
  const std::string rounding = c.attrs().String("nearest_mode", "round_prefer_floor");
  const bool dynamic_scales = !scales && c.has_input(kScales) && !c.has_input(kSizes) && mode == "linear";
  if (!scales && !dynamic_scales) c.Fail("its scales are not known");
  if (!IsSimple(mode, coordinates, rounding, scales)) {
    c.Fail("mode " + mode + " with coordinates " + coordinates +
           (mode == "nearest" ? " and rounding " + rounding : "") + " is new in version 11");
  }
  const ValueId input = scales ? Floats(c, *scales) : c.in(kScales);
  c.DropInputs(1);
  c.SetInput(1, input);
  for (const char* name : {"coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a",
                           "exclude_outside", "extrapolation_value"}) {
    c.attrs().Erase(name);
  }
}

// Until 13 the region is a required input, and so are scales.
void OptionalDown(Crossing& c) {
  if (!c.has_input(kRoi)) c.SetInput(kRoi, c.build().Floats("roi", {}));
  if (!c.has_input(kScales)) c.SetInput(kScales, c.build().Floats("scales", {}));
}

void AxesDown(Crossing& c) {
  if (c.attrs().Int("antialias", 0) != 0) c.Fail("antialias is new in version 18");
  const bool by_sizes = c.has_input(kSizes);
  const std::string policy = c.attrs().String("keep_aspect_ratio_policy", "stretch");
  if (by_sizes && policy != "stretch")
    c.Fail("keep_aspect_ratio_policy '" + policy + "' is new in version 18");
  c.attrs().Erase("antialias");
  c.attrs().Erase("keep_aspect_ratio_policy");
  if (!c.attrs().Has("axes")) return;
  const Ints axes = c.attrs().Ints("axes");
  c.attrs().Erase("axes");
  const int64_t rank = c.NeedRank(0);
  const auto place = [&](size_t i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank) c.Fail("an axis is out of range");
    return static_cast<size_t>(axis);
  };
  if (c.attrs().String("coordinate_transformation_mode", "") == "tf_crop_and_resize")
    c.Fail("it crops some axes alone");
  if (c.has_input(kScales) && !by_sizes) {
    const auto some = c.NeedNumbers(kScales, "scales");
    if (some->size() != axes.size()) c.Fail("it has not one scale for each axis");
    Numbers all(static_cast<size_t>(rank), 1);
    for (size_t i = 0; i < axes.size(); ++i) all[place(i)] = (*some)[i];
    c.SetInput(kScales, Floats(c, all));
    return;
  }
  const auto some = c.NeedInts(kSizes, "sizes");
  if (!some || some->size() != axes.size()) c.Fail("it has not one size for each axis");
  const ValueType& type = c.type(c.in(0));
  Ints all;
  for (const Dim& dim : type.shape) all.push_back(dim.value());
  for (size_t i = 0; i < axes.size(); ++i) all[place(i)] = (*some)[i];
  if (std::count(all.begin(), all.end(), -1) > 0) c.Fail("the size of an axis that it keeps is not known");
  c.SetInput(kSizes, c.build().Ints("sizes", all));
}

void SymmetricDown(Crossing& c) {
  if (c.attrs().String("coordinate_transformation_mode", "") == "half_pixel_symmetric") {
    c.Fail("coordinates half_pixel_symmetric are new in version 19");
  }
}

constexpr Adapter kAdapters[] = {
    {"Upsample", 7, UpsampleScalesUp, UpsampleScalesDown},
    {"Upsample", 9, UpsampleInputUp, UpsampleInputDown},
    {"Upsample", 10, UpsampleToResize, nullptr},
    {"Resize", 10, nullptr, ResizeToUpsample},
    {"Resize", 11, ModesUp, ModesDown},
    {"Resize", 13, nullptr, OptionalDown},
    {"Resize", 18, nullptr, AxesDown},
    {"Resize", 19, nullptr, SymmetricDown},
};

}  // namespace

std::span<const Adapter> ResizeAdapters() { return kAdapters; }

}  // namespace sluice
