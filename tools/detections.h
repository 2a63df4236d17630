#pragma once

#include <array>
#include <string>
#include <vector>

#include "sluice/tensor.h"
#include "tools/picture.h"

namespace sluice::tools {

struct Detection {
  int label = 0;
  float score = 0;
  std::array<float, 4> box = {};  // left, top, right, bottom in pixels
};

// Area of the intersection over that of the union; 0 where both are empty.
float Overlap(const std::array<float, 4>& a, const std::array<float, 4>& b);

// boxes [1, K, 4] float, scores [1, K, C] float. Every (k, c) with a score of at least `threshold` is a
// candidate; of candidates of one class that overlap by more than `nms` the best stays. Best first.
// Values that are not finite are no candidates. Throws Error{kInvalidArgument} for other types and shapes.
std::vector<Detection> Decode(const Tensor& boxes, const Tensor& scores, float threshold, float nms);

// From the pixels of a fitted picture to those of the original of width x height, clamped to it;
// boxes of which nothing is left are dropped.
void MapBack(const Fit& fit, int width, int height, std::vector<Detection>& detections);

// Names from text: a JSON array of strings, or one a line, or separated by commas.
std::vector<std::string> ParseLabels(const std::string& text);

}  // namespace sluice::tools
