#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "kernels/image/image.h"

namespace sluice {
namespace {

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

// Decodes to 8-bit RGBA. Only trivially destructible objects live in this frame, because libpng reports
// errors by longjmp. Returns false where source.message says why.
bool DecodeRgba(PngSource& source, int64_t max_pixels, Image& image, std::vector<png_bytep>& rows) {
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
  image.width = png_get_image_width(png, info);
  image.height = png_get_image_height(png, info);
  if (image.width > max_pixels / image.height) png_error(png, "too many pixels");
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const size_t row_bytes = static_cast<size_t>(image.width) * 4;
  if (png_get_rowbytes(png, info) != row_bytes) png_error(png, "an unknown kind of pixels");
  image.channels = 4;
  image.pixels.resize(row_bytes * static_cast<size_t>(image.height));
  rows.resize(static_cast<size_t>(image.height));
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * row_bytes;
  png_read_image(png, rows.data());
  png_read_end(png, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

Image DecodePng(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  PngSource source{bytes};
  Image image;
  std::vector<png_bytep> rows;
  if (!DecodeRgba(source, max_pixels, image, rows)) FailImage(place, "no readable PNG: " + std::string(source.message));
  return image;
}

}  // namespace

const ImageFormat kPng = {
    "PNG", [](std::span<const std::byte> bytes) { return BeginsWith(bytes, "\x89PNG\r\n\x1a\n"); },
    DecodePng};

}  // namespace sluice
