#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/image/image.h"

namespace sluice::tools {

// Red, green, blue with 8 bits each, rows from the top, no padding.
struct Picture {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;

  Picture() = default;
  Picture(int w, int h)
      : width(w), height(h), rgb(size_t{3} * static_cast<size_t>(w) * static_cast<size_t>(h)) {}
  uint8_t* at(int x, int y) { return &rgb[3 * (static_cast<size_t>(y) * static_cast<size_t>(width) + x)]; }
  const uint8_t* at(int x, int y) const {
    return &rgb[3 * (static_cast<size_t>(y) * static_cast<size_t>(width) + x)];
  }
};

// Whether the bytes begin like a picture file of a format that is known.
bool LooksLikePicture(std::span<const std::byte> bytes);

// BMP, JPEG (grey or YCbCr; a rotation in its EXIF data is not applied), JPEG 2000, PNG of any kind (16 bits are
// rounded to 8), PNM, TIFF, WebP; transparency is put on white. Throws Error{kInvalidArgument, kUnsupported}
// naming `place`, also for a picture of more than max_pixels, before it is decoded.
Picture DecodePicture(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels = kMaxPixels);
Picture ReadPicture(const std::string& path);

// PNG, or JPEG of quality 92 if the path ends with .jpg or .jpeg; other endings are refused.
void WritePicture(const std::string& path, const Picture& picture);
// Throws Error{kInvalidArgument} unless WritePicture knows the ending.
void CheckPicturePath(const std::string& path);

// Bilinear with pixel centres at .5 and clamped edges, without a low-pass filter: what OpenCV calls
// INTER_LINEAR, with which most detectors are trained.
Picture Resize(const Picture& picture, int width, int height);

// How a picture was fitted into another: x_fitted = x * scale + left, y_fitted = y * scale_y + top.
struct Fit {
  double scale_x = 1;
  double scale_y = 1;
  double left = 0;
  double top = 0;
};

// The picture in width x height, as large as its proportions allow, on grey 114: in the middle or in the left
// upper corner.
enum class Align { kMiddle, kCorner };
Picture Letterbox(const Picture& picture, int width, int height, Fit* fit = nullptr,
                  Align align = Align::kMiddle);

}  // namespace sluice::tools
