#include <turbojpeg.h>

#include <memory>

#include "kernels/image/image.h"
#include "sluice/error.h"

namespace sluice {
namespace {

Image DecodeJpeg(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  const std::unique_ptr<void, int (*)(void*)> handle(tjInitDecompress(), tjDestroy);
  if (!handle) throw Error(ErrorCode::kOutOfMemory, "no memory for the JPEG decoder");
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto size = static_cast<unsigned long>(bytes.size());  // NOLINT: TurboJPEG's type
  int width = 0, height = 0, subsampling = 0, colorspace = 0;
  if (tjDecompressHeader3(handle.get(), data, size, &width, &height, &subsampling, &colorspace) != 0)
    FailImage(place, "no readable JPEG: " + std::string(tjGetErrorStr2(handle.get())));
  CheckImageSize(width, height, max_pixels, place);
  if (colorspace == TJCS_CMYK || colorspace == TJCS_YCCK)
    throw Error(ErrorCode::kUnsupported, place + ": a JPEG in CMYK, expected grey or YCbCr");
  Image image(width, height, 3);
  if (tjDecompress2(handle.get(), data, size, image.pixels.data(), width, 0, height, TJPF_RGB,
                    TJFLAG_ACCURATEDCT) != 0) {
    const std::string message = tjGetErrorStr2(handle.get());
    // Many cameras' files draw warnings; only a file that ends early lacks pixels.
    const bool harmless =
        tjGetErrorCode(handle.get()) == TJERR_WARNING && message.find("remature") == std::string::npos;
    if (!harmless) FailImage(place, "no readable JPEG: " + message);
  }
  return image;
}

}  // namespace

const ImageFormat kJpeg = {
    "JPEG", [](std::span<const std::byte> bytes) { return BeginsWith(bytes, "\xff\xd8\xff"); }, DecodeJpeg};

}  // namespace sluice
