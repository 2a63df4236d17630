#include <tiffio.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "kernels/image/image.h"

namespace sluice {
namespace {

// A file in memory.
struct Source {
  std::span<const std::byte> bytes;
  toff_t at = 0;
};

tmsize_t Read(thandle_t handle, void* dst, tmsize_t count) {
  auto* source = static_cast<Source*>(handle);
  const toff_t size = source->bytes.size();
  const auto n = std::min<toff_t>(static_cast<toff_t>(count), size - std::min(size, source->at));
  std::memcpy(dst, source->bytes.data() + std::min(size, source->at), n);
  source->at += n;
  return static_cast<tmsize_t>(n);
}
tmsize_t Write(thandle_t, void*, tmsize_t) { return 0; }
toff_t Seek(thandle_t handle, toff_t offset, int whence) {
  auto* source = static_cast<Source*>(handle);
  const toff_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? source->at : source->bytes.size();
  return source->at = from + offset;
}
int Close(thandle_t) { return 0; }
toff_t Size(thandle_t handle) { return static_cast<Source*>(handle)->bytes.size(); }

Image DecodeTiff(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  // The library prints nothing.
  [[maybe_unused]] static const bool kQuiet =
      (TIFFSetErrorHandler(nullptr), TIFFSetWarningHandler(nullptr), true);
  Source source{bytes};
  const std::unique_ptr<TIFF, void (*)(TIFF*)> tiff(
      TIFFClientOpen("", "rm", &source, Read, Write, Seek, Close, Size, nullptr, nullptr), TIFFClose);
  if (!tiff) FailImage(place, "no readable TIFF");
  uint32_t width = 0, height = 0;
  TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height);
  CheckImageSize(width, height, max_pixels, place);
  std::vector<uint32_t> raster(static_cast<size_t>(width) * height);
  if (TIFFReadRGBAImageOriented(tiff.get(), width, height, raster.data(), ORIENTATION_TOPLEFT, 1) == 0)
    FailImage(place, "no readable TIFF");
  Image image(width, height, 4);
  for (size_t i = 0; i < raster.size(); ++i) {
    image.pixels[4 * i] = static_cast<uint8_t>(TIFFGetR(raster[i]));
    image.pixels[4 * i + 1] = static_cast<uint8_t>(TIFFGetG(raster[i]));
    image.pixels[4 * i + 2] = static_cast<uint8_t>(TIFFGetB(raster[i]));
    image.pixels[4 * i + 3] = static_cast<uint8_t>(TIFFGetA(raster[i]));
  }
  return image;
}

}  // namespace

const ImageFormat kTiff = {"TIFF",
                           [](std::span<const std::byte> bytes) {
                             return BeginsWith(bytes, std::string_view("II*\0", 4)) ||
                                    BeginsWith(bytes, std::string_view("MM\0*", 4));
                           },
                           DecodeTiff};

}  // namespace sluice
