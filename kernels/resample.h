#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

// How Resize finds the source of one output axis; names as in the standard.
struct ResampleAxis {
  int64_t in = 1, out = 1;
  float scale = 1;
  // The output's size before it was rounded down: what align_corners counts with.
  float exact_out = 1;
  float roi_begin = 0, roi_end = 1;
};

struct ResampleMode {
  enum class Kind { kNearest, kLinear, kCubic };
  // kSimple is what Upsample and version 10 do: down when enlarging, up when shrinking.
  enum class Rounding { kPreferFloor, kPreferCeil, kFloor, kCeil, kSimple };

  Kind kind = Kind::kNearest;
  Rounding rounding = Rounding::kPreferFloor;
  std::string coordinates = "half_pixel";
  float cubic_a = -0.75f;
  bool exclude_outside = false;
  bool antialias = false;
};

// Whether CoordinateOf knows the transformation.
bool IsCoordinateMode(const std::string& name);

// Source index of every output index; -1 where tf_crop_and_resize leaves the source.
std::vector<int64_t> NearestMap(const ResampleMode& mode, const ResampleAxis& axis);

// Output j is the sum over k < size of weights[j * size + k] * source[indices[j * size + k]]. The weights of
// an output sum to 1. outside[j]: tf_crop_and_resize leaves the source.
struct Taps {
  int64_t size = 1;
  std::vector<int64_t> indices;
  std::vector<float> weights;
  std::vector<bool> outside;
};
Taps TapsOf(const ResampleMode& mode, const ResampleAxis& axis);

}  // namespace sluice
