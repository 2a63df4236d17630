// Reading of picture files as kernels/image does it, writing by libpng and libjpeg-turbo.
#include <png.h>
#include <turbojpeg.h>

#include <memory>

#include <fmt/format.h>

#include "kernels/image/image.h"
#include "sluice/error.h"
#include "tools/files.h"
#include "tools/picture.h"

namespace sluice::tools {
namespace {

[[noreturn]] void Fail(const std::string& place, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("'{}': {}", place, what));
}

using TurboHandle = std::unique_ptr<void, int (*)(void*)>;

bool IsJpegPath(const std::string& path) {
  const std::string extension = Extension(path);
  return extension == ".jpg" || extension == ".jpeg";
}

}  // namespace

bool LooksLikePicture(std::span<const std::byte> bytes) { return FindImageFormat(bytes) != nullptr; }

Picture DecodePicture(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  const Image image = DecodeImage(bytes, fmt::format("'{}'", place), max_pixels);
  Picture picture(static_cast<int>(image.width), static_cast<int>(image.height));
  const uint8_t* from = image.pixels.data();
  for (size_t i = 0; i < picture.rgb.size(); i += 3, from += image.channels) {
    const int alpha = image.channels == 4 ? from[3] : 255;
    for (size_t c = 0; c < 3; ++c)
      picture.rgb[i + c] = static_cast<uint8_t>((from[c] * alpha + 255 * (255 - alpha) + 127) / 255);
  }
  return picture;
}

Picture ReadPicture(const std::string& path) { return DecodePicture(ReadFile(path), path); }

void CheckPicturePath(const std::string& path) {
  if (Extension(path) == ".png" || IsJpegPath(path)) return;
  Fail(path, "expected a picture file that ends with .png, .jpg or .jpeg");
}

void WritePicture(const std::string& path, const Picture& picture) {
  CheckPicturePath(path);
  if (IsJpegPath(path)) {
    TurboHandle handle(tjInitCompress(), tjDestroy);
    unsigned char* data = nullptr;
    unsigned long size = 0;  // NOLINT: TurboJPEG's type
    const int status =
        handle ? tjCompress2(handle.get(), picture.rgb.data(), picture.width, 0, picture.height, TJPF_RGB, &data,
                             &size, TJSAMP_444, 92, TJFLAG_ACCURATEDCT)
               : -1;
    const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owner(data, tjFree);
    if (status != 0) Fail(path, fmt::format("cannot write the JPEG: {}", tjGetErrorStr2(handle.get())));
    WriteFile(path, std::as_bytes(std::span(data, size)));
    return;
  }
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<std::byte> bytes(size);
  if (!png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.rgb.data(), 0, nullptr)) {
    Fail(path, fmt::format("cannot write the PNG: {}", image.message));
  }
  WriteFile(path, std::span(bytes).first(size));
}

}  // namespace sluice::tools
