#include <webp/decode.h>

#include "kernels/image/image.h"

namespace sluice {
namespace {

Image DecodeWebp(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK) FailImage(place, "no readable WebP");
  CheckImageSize(features.width, features.height, max_pixels, place);
  Image image(features.width, features.height, features.has_alpha ? 4 : 3);
  const auto decode = features.has_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(data, bytes.size(), image.pixels.data(), image.pixels.size(), features.width * image.channels) ==
      nullptr)
    FailImage(place, "no readable WebP");
  return image;
}

}  // namespace

const ImageFormat kWebp = {"WebP",
                           [](std::span<const std::byte> bytes) {
                             return BeginsWith(bytes, "RIFF") && bytes.size() >= 12 &&
                                    BeginsWith(bytes.subspan(8), "WEBP");
                           },
                           DecodeWebp};

}  // namespace sluice
