#include "kernels/image/image.h"

#include <cstring>

#include "sluice/error.h"

namespace sluice {

Image::Image(int64_t w, int64_t h, int c)
    : width(w), height(h), channels(c), pixels(static_cast<size_t>(w * h * c)) {}

void FailImage(const std::string& place, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, place + ": " + what);
}

void CheckImageSize(int64_t width, int64_t height, int64_t max_pixels, const std::string& place) {
  if (width > 0 && height > 0 && width <= max_pixels / height) return;
  FailImage(place, "a picture of " + std::to_string(width) + " x " + std::to_string(height) +
                       " pixels, expected 1 to " + std::to_string(max_pixels) + " of them");
}

bool BeginsWith(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

const ImageFormat* FindImageFormat(std::span<const std::byte> bytes) {
  for (const ImageFormat* format : {&kPng, &kJpeg, &kJpeg2000, &kWebp, &kTiff, &kBmp, &kPnm}) {
    if (format->matches(bytes)) return format;
  }
  return nullptr;
}

Image DecodeImage(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  const ImageFormat* const format = FindImageFormat(bytes);
  if (format == nullptr)
    FailImage(place, "begins like no picture, expected PNG, JPEG, JPEG 2000, WebP, TIFF, BMP or PNM");
  return format->decode(bytes, place, max_pixels);
}

}  // namespace sluice
