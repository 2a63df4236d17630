#include "tools/detections.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sluice/error.h"
#include "tools/elements.h"

namespace sluice::tools {

float Overlap(const std::array<float, 4>& a, const std::array<float, 4>& b) {
  const auto area = [](float left, float top, float right, float bottom) {
    return std::max(0.0f, right - left) * std::max(0.0f, bottom - top);
  };
  const float both = area(std::max(a[0], b[0]), std::max(a[1], b[1]), std::min(a[2], b[2]), std::min(a[3], b[3]));
  const float either = area(a[0], a[1], a[2], a[3]) + area(b[0], b[1], b[2], b[3]) - both;
  return either > 0 ? both / either : 0;
}

std::vector<Detection> Decode(const Tensor& boxes, const Tensor& scores, float threshold, float nms) {
  const Shape& box_shape = boxes.shape();
  const Shape& score_shape = scores.shape();
  if (boxes.dtype() != DataType::kFloat || scores.dtype() != DataType::kFloat || box_shape.size() != 3 ||
      score_shape.size() != 3 || box_shape[0] != 1 || score_shape[0] != 1 || box_shape[2] != 4 ||
      box_shape[1] != score_shape[1]) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("boxes are {} and scores {}, expected float [1, K, 4] and float [1, K, C]",
                            DescribeValue(boxes), DescribeValue(scores)));
  }
  const int64_t count = box_shape[1], classes = score_shape[2];
  const auto box_values = boxes.values<float>();
  const auto score_values = scores.values<float>();
  std::vector<std::vector<Detection>> candidates(static_cast<size_t>(classes));
  for (int64_t k = 0; k < count; ++k) {
    std::array<float, 4> box;
    std::copy_n(&box_values[static_cast<size_t>(4 * k)], 4, box.begin());
    if (!std::all_of(box.begin(), box.end(), [](float x) { return std::isfinite(x); })) continue;
    for (int64_t c = 0; c < classes; ++c) {
      const float score = score_values[static_cast<size_t>(k * classes + c)];
      if (score >= threshold && std::isfinite(score)) {
        candidates[static_cast<size_t>(c)].push_back({static_cast<int>(c), score, box});
      }
    }
  }
  const auto better = [](const Detection& a, const Detection& b) { return a.score > b.score; };
  // Suppression compares pairs: a bound on their number for models that see something everywhere.
  constexpr size_t kMaxCandidates = 4000;
  std::vector<Detection> result;
  for (std::vector<Detection>& group : candidates) {
    std::stable_sort(group.begin(), group.end(), better);
    if (group.size() > kMaxCandidates) group.resize(kMaxCandidates);
    const size_t begin = result.size();
    for (const Detection& candidate : group) {
      const bool covered = std::any_of(result.begin() + static_cast<std::ptrdiff_t>(begin), result.end(),
                                       [&](const Detection& kept) { return Overlap(kept.box, candidate.box) > nms; });
      if (!covered) result.push_back(candidate);
    }
  }
  std::stable_sort(result.begin(), result.end(), better);
  return result;
}

void MapBack(const Fit& fit, int width, int height, std::vector<Detection>& detections) {
  for (Detection& detection : detections) {
    for (size_t i = 0; i < 4; ++i) {
      const bool vertical = i % 2 == 1;
      const double pixel = (detection.box[i] - (vertical ? fit.top : fit.left)) / (vertical ? fit.scale_y : fit.scale_x);
      detection.box[i] = static_cast<float>(std::clamp(pixel, 0.0, static_cast<double>(vertical ? height : width)));
    }
  }
  std::erase_if(detections, [](const Detection& detection) {
    return detection.box[2] <= detection.box[0] || detection.box[3] <= detection.box[1];
  });
}

std::vector<std::string> ParseLabels(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != std::string::npos && text[begin] == '[') {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    const bool is_list = json.is_array() && std::all_of(json.begin(), json.end(), [](const auto& item) {
      return item.is_string();
    });
    if (!is_list) throw Error(ErrorCode::kInvalidArgument, "the labels are no JSON array of strings");
    return json.get<std::vector<std::string>>();
  }
  std::vector<std::string> labels;
  const char separator = text.find('\n') != std::string::npos ? '\n' : ',';
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    const std::string item = text.substr(at, end - at);
    const size_t first = item.find_first_not_of(" \t\r"), last = item.find_last_not_of(" \t\r");
    labels.push_back(first == std::string::npos ? "" : item.substr(first, last - first + 1));
    at = end + 1;
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  return labels;
}

}  // namespace sluice::tools
