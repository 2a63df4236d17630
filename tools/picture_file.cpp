// Reading and writing of picture files: libpng and libjpeg-turbo.
#include <png.h>
#include <turbojpeg.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "sluice/error.h"
#include "tools/files.h"
#include "tools/picture.h"

namespace sluice::tools {
namespace {

constexpr unsigned char kPngMagic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr unsigned char kJpegMagic[] = {0xff, 0xd8, 0xff};

bool StartsWith(std::span<const std::byte> bytes, std::span<const unsigned char> magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

[[noreturn]] void Fail(const std::string& place, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("'{}': {}", place, what));
}

void CheckSize(int64_t width, int64_t height, const std::string& place) {
  if (width > 0 && height > 0 && width <= kMaxPixels / height) return;
  Fail(place, fmt::format("a picture of {} x {} pixels, expected 1 to {} of them", width, height, kMaxPixels));
}

struct PngSource {
  std::span<const std::byte> bytes;
  char message[200] = "";
};

void ReadPngBytes(png_structp png, png_bytep dst, png_size_t count) {
  auto* source = static_cast<PngSource*>(png_get_io_ptr(png));
  if (count > source->bytes.size()) png_error(png, "the file ends early");
  std::memcpy(dst, source->bytes.data(), count);
  source->bytes = source->bytes.subspan(count);
}

void OnPngError(png_structp png, png_const_charp message) {
  auto* source = static_cast<PngSource*>(png_get_error_ptr(png));
  std::snprintf(source->message, sizeof(source->message), "%s", message);
  png_longjmp(png, 1);
}

void OnPngWarning(png_structp, png_const_charp) {}

// Decodes to 8-bit RGBA. Only trivially destructible objects live in this frame, because libpng
// reports errors by longjmp. Returns false where source.message says why.
bool DecodePng(PngSource& source, std::vector<uint8_t>& rgba, std::vector<png_bytep>& rows, int64_t& width,
               int64_t& height) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, OnPngError, OnPngWarning);
  if (png == nullptr) return false;
  png_infop info = png_create_info_struct(png);
  if (info == nullptr || setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  png_set_read_fn(png, &source, ReadPngBytes);
  png_set_user_limits(png, 1'000'000, 1'000'000);
  png_read_info(png, info);
  width = png_get_image_width(png, info);
  height = png_get_image_height(png, info);
  if (width > kMaxPixels / height) png_error(png, "too many pixels");
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const size_t row_bytes = static_cast<size_t>(width) * 4;
  if (png_get_rowbytes(png, info) != row_bytes) png_error(png, "an unknown kind of pixels");
  rgba.resize(row_bytes * static_cast<size_t>(height));
  rows.resize(static_cast<size_t>(height));
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = rgba.data() + y * row_bytes;
  png_read_image(png, rows.data());
  png_read_end(png, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

Picture PngPicture(std::span<const std::byte> bytes, const std::string& place) {
  PngSource source{bytes};
  std::vector<uint8_t> rgba;
  std::vector<png_bytep> rows;
  int64_t width = 0, height = 0;
  if (!DecodePng(source, rgba, rows, width, height)) {
    Fail(place, fmt::format("no readable PNG: {}", source.message));
  }
  Picture picture(static_cast<int>(width), static_cast<int>(height));
  for (size_t i = 0; i < rgba.size() / 4; ++i) {
    const int alpha = rgba[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) {
      picture.rgb[3 * i + c] = static_cast<uint8_t>((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  }
  return picture;
}

using TurboHandle = std::unique_ptr<void, int (*)(void*)>;

Picture JpegPicture(std::span<const std::byte> bytes, const std::string& place) {
  TurboHandle handle(tjInitDecompress(), tjDestroy);
  if (!handle) throw Error(ErrorCode::kOutOfMemory, "no memory for the JPEG decoder");
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto size = static_cast<unsigned long>(bytes.size());  // NOLINT: TurboJPEG's type
  int width = 0, height = 0, subsampling = 0, colorspace = 0;
  if (tjDecompressHeader3(handle.get(), data, size, &width, &height, &subsampling, &colorspace) != 0) {
    Fail(place, fmt::format("no readable JPEG: {}", tjGetErrorStr2(handle.get())));
  }
  CheckSize(width, height, place);
  if (colorspace == TJCS_CMYK || colorspace == TJCS_YCCK) {
    throw Error(ErrorCode::kUnsupported, fmt::format("'{}': a JPEG in CMYK, expected grey or YCbCr", place));
  }
  Picture picture(width, height);
  if (tjDecompress2(handle.get(), data, size, picture.rgb.data(), width, 0, height, TJPF_RGB,
                    TJFLAG_ACCURATEDCT) != 0) {
    const std::string message = tjGetErrorStr2(handle.get());
    // Many cameras' files draw warnings; only a file that ends early lacks pixels.
    const bool harmless = tjGetErrorCode(handle.get()) == TJERR_WARNING &&
                          message.find("remature") == std::string::npos;
    if (!harmless) Fail(place, fmt::format("no readable JPEG: {}", message));
  }
  return picture;
}

bool IsJpegPath(const std::string& path) {
  const std::string extension = Extension(path);
  return extension == ".jpg" || extension == ".jpeg";
}

}  // namespace

bool LooksLikePicture(std::span<const std::byte> bytes) {
  return StartsWith(bytes, kPngMagic) || StartsWith(bytes, kJpegMagic);
}

Picture DecodePicture(std::span<const std::byte> bytes, const std::string& place) {
  if (StartsWith(bytes, kPngMagic)) return PngPicture(bytes, place);
  if (StartsWith(bytes, kJpegMagic)) return JpegPicture(bytes, place);
  Fail(place, "neither a PNG nor a JPEG file");
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
