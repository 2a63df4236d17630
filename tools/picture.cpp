#include "tools/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sluice/error.h"

namespace sluice::tools {

Picture Resize(const Picture& picture, int width, int height) {
  if (width == picture.width && height == picture.height) return picture;
  // For each place along one axis: the two source places and the weight of the second.
  struct Tap {
    int first;
    int second;
    float weight;
  };
  const auto taps = [](int from, int to) {
    std::vector<Tap> result(static_cast<size_t>(to));
    const double ratio = static_cast<double>(from) / to;
    for (int i = 0; i < to; ++i) {
      const double place = std::clamp((i + 0.5) * ratio - 0.5, 0.0, from - 1.0);
      const int first = static_cast<int>(place);
      result[static_cast<size_t>(i)] = {first, std::min(first + 1, from - 1),
                                        static_cast<float>(place - first)};
    }
    return result;
  };
  const std::vector<Tap> columns = taps(picture.width, width), rows = taps(picture.height, height);
  Picture result(width, height);
  for (int y = 0; y < height; ++y) {
    const Tap& row = rows[static_cast<size_t>(y)];
    uint8_t* dst = result.at(0, y);
    for (int x = 0; x < width; ++x) {
      const Tap& column = columns[static_cast<size_t>(x)];
      const uint8_t* upper[] = {picture.at(column.first, row.first), picture.at(column.second, row.first)};
      const uint8_t* lower[] = {picture.at(column.first, row.second), picture.at(column.second, row.second)};
      for (int c = 0; c < 3; ++c) {
        const float above = upper[0][c] + (upper[1][c] - upper[0][c]) * column.weight;
        const float below = lower[0][c] + (lower[1][c] - lower[0][c]) * column.weight;
        *dst++ = static_cast<uint8_t>(above + (below - above) * row.weight + 0.5f);
      }
    }
  }
  return result;
}

Picture Letterbox(const Picture& picture, int width, int height, Fit* fit, Align align) {
  constexpr uint8_t kFill = 114;
  const double scale =
      std::min(static_cast<double>(width) / picture.width, static_cast<double>(height) / picture.height);
  const int inner_width = std::clamp(static_cast<int>(std::lround(picture.width * scale)), 1, width);
  const int inner_height = std::clamp(static_cast<int>(std::lround(picture.height * scale)), 1, height);
  const bool middle = align == Align::kMiddle;
  const int left = middle ? (width - inner_width) / 2 : 0, top = middle ? (height - inner_height) / 2 : 0;
  const Picture inner = Resize(picture, inner_width, inner_height);
  Picture result(width, height);
  std::fill(result.rgb.begin(), result.rgb.end(), kFill);
  for (int y = 0; y < inner_height; ++y) {
    std::copy_n(inner.at(0, y), size_t{3} * static_cast<size_t>(inner_width), result.at(left, top + y));
  }
  if (fit != nullptr) {
    *fit = {static_cast<double>(inner_width) / picture.width,
            static_cast<double>(inner_height) / picture.height, static_cast<double>(left),
            static_cast<double>(top)};
  }
  return result;
}

}  // namespace sluice::tools
