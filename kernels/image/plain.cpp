#include "kernels/image/image.h"
#include "sluice/error.h"

// The formats without compression: BMP, and PNM's PGM and PPM.

namespace sluice {
namespace {

uint32_t Little(std::span<const std::byte> bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i)
    value |= static_cast<uint32_t>(bytes[at + static_cast<size_t>(i)]) << (8 * i);
  return value;
}

// Of 24 or 32 bits a pixel, or of 8 with a palette; no compression.
Image DecodeBmp(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  if (bytes.size() < 54 || Little(bytes, 14, 4) < 40)
    FailImage(place, "no readable BMP: its header ends early");
  const uint32_t begin = Little(bytes, 10, 4), bits = Little(bytes, 28, 2),
                 compression = Little(bytes, 30, 4);
  const auto width = static_cast<int32_t>(Little(bytes, 18, 4)),
             rows = static_cast<int32_t>(Little(bytes, 22, 4));
  // Rows from the bottom, or from the top where their number is negative.
  const int64_t height = rows < 0 ? -int64_t{rows} : rows;
  CheckImageSize(width, height, max_pixels, place);
  if (compression != 0 || (bits != 8 && bits != 24 && bits != 32))
    throw Error(ErrorCode::kUnsupported, place + ": a BMP of " + std::to_string(bits) +
                                             " bits a pixel and compression " + std::to_string(compression) +
                                             ", expected 8, 24 or 32 bits and none");
  const int64_t stride = (int64_t{width} * bits + 31) / 32 * 4;
  const size_t palette = 14 + Little(bytes, 14, 4);
  if (static_cast<int64_t>(bytes.size()) < begin + stride * height ||
      (bits == 8 && bytes.size() < palette + 1024))
    FailImage(place, "no readable BMP: the file ends early");
  Image image(width, height, 3);
  uint8_t* to = image.pixels.data();
  for (int64_t y = 0; y < height; ++y) {
    const int64_t row = rows < 0 ? y : height - 1 - y;
    for (int64_t x = 0; x < width; ++x, to += 3) {
      auto at = static_cast<size_t>(begin + row * stride + x * bits / 8);
      if (bits == 8) at = palette + 4 * static_cast<size_t>(bytes[at]);
      for (size_t c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>(bytes[at + 2 - c]);
    }
  }
  return image;
}

// The numbers of a PNM header: blanks and comments before each, one blank after the last.
class PnmHeader {
 public:
  PnmHeader(std::span<const std::byte> bytes, const std::string& place) : bytes_(bytes), place_(place) {}
  int64_t Next() {
    while (at_ < bytes_.size() && (Blank(Peek()) || Peek() == '#')) {
      if (Peek() == '#')
        while (at_ < bytes_.size() && Peek() != '\n') ++at_;
      else
        ++at_;
    }
    int64_t value = -1;
    for (; at_ < bytes_.size() && Peek() >= '0' && Peek() <= '9' && value < INT32_MAX; ++at_)
      value = std::max<int64_t>(value, 0) * 10 + (Peek() - '0');
    if (value < 0 || at_ >= bytes_.size() || !Blank(Peek()))
      FailImage(place_, "no readable PNM: no number in its header");
    return value;
  }
  std::span<const std::byte> Rest() const { return bytes_.subspan(at_ + 1); }

 private:
  char Peek() const { return static_cast<char>(bytes_[at_]); }
  static bool Blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

  std::span<const std::byte> bytes_;
  const std::string& place_;
  size_t at_ = 2;
};

Image DecodePnm(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  PnmHeader header(bytes, place);
  const int64_t width = header.Next(), height = header.Next(), max = header.Next();
  CheckImageSize(width, height, max_pixels, place);
  if (max < 1 || max > 255)
    throw Error(ErrorCode::kUnsupported,
                place + ": a PNM of values up to " + std::to_string(max) + ", expected 255");
  const size_t channels = BeginsWith(bytes, "P6") ? 3 : 1;
  const auto rest = header.Rest();
  if (rest.size() < static_cast<size_t>(width * height) * channels)
    FailImage(place, "no readable PNM: the file ends early");
  Image image(width, height, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    const auto value = static_cast<int64_t>(rest[channels == 3 ? i : i / 3]);
    image.pixels[i] = static_cast<uint8_t>((std::min(value, max) * 255 + max / 2) / max);
  }
  return image;
}

}  // namespace

const ImageFormat kBmp = {"BMP", [](std::span<const std::byte> bytes) { return BeginsWith(bytes, "BM"); },
                          DecodeBmp};
const ImageFormat kPnm = {
    "PNM",
    [](std::span<const std::byte> bytes) { return BeginsWith(bytes, "P5") || BeginsWith(bytes, "P6"); },
    DecodePnm};

}  // namespace sluice
