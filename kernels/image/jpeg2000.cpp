#include <openjpeg.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "kernels/image/image.h"
#include "sluice/error.h"

namespace sluice {
namespace {

// A file in memory.
struct Source {
  std::span<const std::byte> bytes;
  size_t at = 0;
};

OPJ_SIZE_T Read(void* dst, OPJ_SIZE_T count, void* data) {
  auto* source = static_cast<Source*>(data);
  const size_t n = std::min<size_t>(count, source->bytes.size() - source->at);
  if (n == 0) return static_cast<OPJ_SIZE_T>(-1);
  std::memcpy(dst, source->bytes.data() + source->at, n);
  source->at += n;
  return n;
}
OPJ_OFF_T Skip(OPJ_OFF_T count, void* data) {
  auto* source = static_cast<Source*>(data);
  const auto n = std::min<OPJ_OFF_T>(count, static_cast<OPJ_OFF_T>(source->bytes.size() - source->at));
  if (n < 0) return -1;
  source->at += static_cast<size_t>(n);
  return n;
}
OPJ_BOOL Seek(OPJ_OFF_T offset, void* data) {
  auto* source = static_cast<Source*>(data);
  if (offset < 0 || static_cast<size_t>(offset) > source->bytes.size()) return OPJ_FALSE;
  source->at = static_cast<size_t>(offset);
  return OPJ_TRUE;
}

// A file with boxes, or the bare codestream.
bool HasBoxes(std::span<const std::byte> bytes) {
  return BeginsWith(bytes, std::string_view("\0\0\0\x0cjP  \r\n\x87\n", 12));
}
bool IsCodestream(std::span<const std::byte> bytes) { return BeginsWith(bytes, "\xff\x4f\xff\x51"); }

uint8_t Sample(const opj_image_comp_t& component, size_t i) {
  int value = component.data[i] + (component.sgnd ? 1 << (component.prec - 1) : 0);
  if (component.prec > 8) value >>= component.prec - 8;
  if (component.prec < 8) value = value * 255 / ((1 << component.prec) - 1);
  return static_cast<uint8_t>(std::clamp(value, 0, 255));
}

Image DecodeJpeg2000(std::span<const std::byte> bytes, const std::string& place, int64_t max_pixels) {
  Source source{bytes};
  const std::unique_ptr<opj_stream_t, void (*)(opj_stream_t*)> stream(opj_stream_default_create(OPJ_TRUE),
                                                                      opj_stream_destroy);
  const std::unique_ptr<opj_codec_t, void (*)(opj_codec_t*)> codec(
      opj_create_decompress(HasBoxes(bytes) ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K), opj_destroy_codec);
  if (!stream || !codec) throw Error(ErrorCode::kOutOfMemory, "no memory for the JPEG 2000 decoder");
  opj_stream_set_user_data(stream.get(), &source, nullptr);
  opj_stream_set_user_data_length(stream.get(), bytes.size());
  opj_stream_set_read_function(stream.get(), Read);
  opj_stream_set_skip_function(stream.get(), Skip);
  opj_stream_set_seek_function(stream.get(), Seek);
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  opj_image_t* header = nullptr;
  const bool opened =
      opj_setup_decoder(codec.get(), &parameters) && opj_read_header(stream.get(), codec.get(), &header);
  const std::unique_ptr<opj_image_t, void (*)(opj_image_t*)> image(header, opj_image_destroy);
  if (!opened) FailImage(place, "no readable JPEG 2000");
  const int64_t width = int64_t{image->x1} - image->x0, height = int64_t{image->y1} - image->y0;
  CheckImageSize(width, height, max_pixels, place);
  if (!opj_decode(codec.get(), stream.get(), image.get()) || !opj_end_decompress(codec.get(), stream.get()))
    FailImage(place, "no readable JPEG 2000");
  if (image->numcomps == 0) FailImage(place, "no readable JPEG 2000: it has no components");
  const bool grey = image->numcomps < 3;
  const bool alpha = image->numcomps == 2 || image->numcomps == 4;
  const uint32_t used = image->numcomps > 4 ? 3 : image->numcomps;
  for (uint32_t c = 0; c < used; ++c) {
    const opj_image_comp_t& component = image->comps[c];
    if (component.data == nullptr || component.w != width || component.h != height || component.prec < 1 ||
        component.prec > 16)
      throw Error(ErrorCode::kUnsupported, place + ": a JPEG 2000 whose components differ in size");
  }
  if (image->color_space == OPJ_CLRSPC_SYCC || image->color_space == OPJ_CLRSPC_CMYK)
    throw Error(ErrorCode::kUnsupported, place + ": a JPEG 2000 in YCbCr or CMYK, expected grey or RGB");
  Image result(width, height, alpha ? 4 : 3);
  const auto channels = static_cast<size_t>(result.channels);
  for (size_t c = 0; c < channels; ++c) {
    const size_t from = grey ? (c == 3 ? 1 : 0) : c;
    for (size_t i = 0; i < static_cast<size_t>(width * height); ++i)
      result.pixels[i * channels + c] = Sample(image->comps[from], i);
  }
  return result;
}

}  // namespace

const ImageFormat kJpeg2000 = {
    "JPEG 2000", [](std::span<const std::byte> bytes) { return HasBoxes(bytes) || IsCodestream(bytes); },
    DecodeJpeg2000};

}  // namespace sluice
