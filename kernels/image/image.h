#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// A decoded picture: 8 bits a channel, rows from the top, no padding.
struct Image {
  int64_t width = 0, height = 0;
  int channels = 3;  // 3: red, green, blue; 4: and opacity
  std::vector<uint8_t> pixels;

  Image() = default;
  Image(int64_t width, int64_t height, int channels);
};

// Pictures of more pixels are refused, so that a small file cannot ask for all memory.
constexpr int64_t kMaxPixels = 200'000'000;

// One format: whether bytes begin like it, and what they decode to. `place` goes in front of messages.
struct ImageFormat {
  std::string_view name;
  bool (*matches)(std::span<const std::byte> bytes);
  Image (*decode)(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels);
};
extern const ImageFormat kBmp, kJpeg, kJpeg2000, kPng, kPnm, kTiff, kWebp;

// The format that the bytes begin like; null if none does.
const ImageFormat* FindImageFormat(std::span<const std::byte> bytes);

// Throws Error{kInvalidArgument, kUnsupported} that begins with `place`; before memory is taken where the
// picture has more than max_pixels.
Image DecodeImage(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels = kMaxPixels);

// For the formats' sources.
[[noreturn]] void FailImage(const std::string& place, const std::string& what);
// Throws Error{kInvalidArgument} for no pixels or too many.
void CheckImageSize(int64_t width, int64_t height, int64_t max_pixels, const std::string& place);
bool BeginsWith(std::span<const std::byte> bytes, std::string_view magic);

}  // namespace sluice
