#include "kernels/resample.h"

#include <algorithm>
#include <cmath>

#include "kernels/mapped_copy.h"
#include "kernels/saturate.h"

namespace sluice {
namespace {

// The position in the source, in float as exporters and other runtimes compute it: the rounding of ties
// depends on it.
float CoordinateOf(const std::string& mode, const ResampleAxis& axis, int64_t x) {
  const auto at = static_cast<float>(x), in = static_cast<float>(axis.in), out = axis.exact_out;
  if (mode == "align_corners") return out <= 1 ? 0 : at * (in - 1) / (out - 1);
  if (mode == "asymmetric") return at / axis.scale;
  if (mode == "tf_half_pixel_for_nn") return (at + 0.5f) / axis.scale;
  if (mode == "pytorch_half_pixel") return axis.out > 1 ? (at + 0.5f) / axis.scale - 0.5f : 0;
  if (mode == "tf_crop_and_resize") {
    if (out <= 1) return 0.5f * (axis.roi_begin + axis.roi_end) * (in - 1);
    return axis.roi_begin * (in - 1) + at * (axis.roi_end - axis.roi_begin) * (in - 1) / (out - 1);
  }
  const float half_pixel = (at + 0.5f) / axis.scale - 0.5f;
  if (mode == "half_pixel_symmetric")
    return in / 2 * (1 - static_cast<float>(axis.out) / (axis.scale * in)) + half_pixel;
  return half_pixel;
}

bool IsOutside(const ResampleMode& mode, const ResampleAxis& axis, float x) {
  return mode.coordinates == "tf_crop_and_resize" && !(x >= 0 && x <= static_cast<float>(axis.in - 1));
}

// NaN is the first. Large sizes are no floats: the nearest one may lie outside.
int64_t Clamp(float x, int64_t size) { return std::clamp<int64_t>(Saturated<int64_t>(x), 0, size - 1); }

// The filter at distance x.
double Filter(const ResampleMode& mode, double x) {
  x = std::abs(x);
  if (mode.kind == ResampleMode::Kind::kLinear) return std::max(0.0, 1 - x);
  const double a = mode.cubic_a;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

}  // namespace

bool IsCoordinateMode(const std::string& name) {
  static const char* const kNames[] = {"half_pixel",        "half_pixel_symmetric", "pytorch_half_pixel",
                                       "align_corners",     "asymmetric",           "tf_half_pixel_for_nn",
                                       "tf_crop_and_resize"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::vector<int64_t> NearestMap(const ResampleMode& mode, const ResampleAxis& axis) {
  std::vector<int64_t> map = NewMap(axis.out);
  for (int64_t i = 0; i < axis.out; ++i) {
    float x = CoordinateOf(mode.coordinates, axis, i);
    if (IsOutside(mode, axis, x)) {
      map[static_cast<size_t>(i)] = -1;
      continue;
    }
    switch (mode.rounding) {
      case ResampleMode::Rounding::kPreferFloor:
        x = std::ceil(x - 0.5f);
        break;
      case ResampleMode::Rounding::kPreferCeil:
        x = std::floor(x + 0.5f);
        break;
      case ResampleMode::Rounding::kFloor:
        x = std::floor(x);
        break;
      case ResampleMode::Rounding::kCeil:
        x = std::ceil(x);
        break;
      case ResampleMode::Rounding::kSimple:
        x = axis.scale < 1 ? std::ceil(x) : std::floor(x);
        break;
    }
    map[static_cast<size_t>(i)] = Clamp(x, axis.in);
  }
  return map;
}

Taps TapsOf(const ResampleMode& mode, const ResampleAxis& axis) {
  const double radius = mode.kind == ResampleMode::Kind::kLinear ? 1 : 2;
  // A filter as wide as the source pixels that one output pixel covers, though not wider than the source:
  // what lies outside has the same value everywhere.
  const double shrink = mode.antialias ? std::clamp<double>(axis.scale, 1e-6, 1) : 1;
  const auto first = static_cast<int64_t>(std::floor(-radius / shrink)) + 1;
  const int64_t count = 2 - 2 * first;
  // Taps beyond the edges fall together with those on them.
  Taps taps;
  taps.size = std::min(count, axis.in);
  const auto size = static_cast<size_t>(taps.size * axis.out);
  taps.indices.assign(size, 0);
  taps.weights.assign(size, 0);
  taps.outside.assign(static_cast<size_t>(axis.out), false);
  std::vector<double> row(static_cast<size_t>(taps.size));
  for (int64_t j = 0; j < axis.out; ++j) {
    const float x = CoordinateOf(mode.coordinates, axis, j);
    taps.outside[static_cast<size_t>(j)] = IsOutside(mode, axis, x);
    // Farther out than its radius a filter sees the edge alone.
    const double reach = static_cast<double>(count);
    const double at = std::isnan(x) ? 0 : std::clamp<double>(x, -reach, static_cast<double>(axis.in) + reach);
    const double base = std::floor(at);
    const int64_t begin = static_cast<int64_t>(base) + first;
    const int64_t low = std::clamp<int64_t>(begin, 0, axis.in - taps.size);
    std::fill(row.begin(), row.end(), 0.0);
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t index = begin + k;
      if (mode.exclude_outside && (index < 0 || index >= axis.in)) continue;
      const double weight = Filter(mode, (static_cast<double>(first + k) - (at - base)) * shrink);
      row[static_cast<size_t>(std::clamp<int64_t>(index, low, low + taps.size - 1) - low)] += weight;
      sum += weight;
    }
    for (int64_t k = 0; k < taps.size; ++k) {
      const auto i = static_cast<size_t>(j * taps.size + k);
      taps.indices[i] = low + k;
      taps.weights[i] = static_cast<float>(sum == 0 ? 0 : row[static_cast<size_t>(k)] / sum);
    }
  }
  return taps;
}

}  // namespace sluice
