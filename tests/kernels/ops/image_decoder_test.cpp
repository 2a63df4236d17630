#include <png.h>
#include <turbojpeg.h>
#include <webp/encode.h>

#include "kernels/image/image.h"
#include "tests/kernels/op_test_util.h"

// ImageDecoder: pictures encoded by the formats' libraries, or by hand, come back as they were.

namespace sluice::test {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kWidth = 5, kHeight = 3;

Bytes Pixels() {
  Bytes rgb;
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      for (int c = 0; c < 3; ++c) rgb.push_back(static_cast<uint8_t>(x * 50 + y * 7 + c * 90));
  return rgb;
}

void Append(Bytes& bytes, uint32_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

Bytes Png() {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = kWidth;
  image.height = kHeight;
  image.format = PNG_FORMAT_RGB;
  Bytes bytes(4096);
  png_alloc_size_t size = bytes.size();
  EXPECT_TRUE(png_image_write_to_memory(&image, bytes.data(), &size, 0, Pixels().data(), 0, nullptr));
  bytes.resize(size);
  return bytes;
}

Bytes Webp() {
  uint8_t* data = nullptr;
  const size_t size = WebPEncodeLosslessRGB(Pixels().data(), kWidth, kHeight, kWidth * 3, &data);
  const Bytes bytes(data, data + size);
  WebPFree(data);
  return bytes;
}

// Rows from the bottom, padded to four bytes; blue first.
Bytes Bmp(int bits) {
  Bytes bytes = {'B', 'M'};
  const int stride = (kWidth * bits / 8 + 3) / 4 * 4;
  Append(bytes, static_cast<uint32_t>(54 + stride * kHeight), 4);
  Append(bytes, 0, 4);
  Append(bytes, 54, 4);
  Append(bytes, 40, 4);
  Append(bytes, kWidth, 4);
  Append(bytes, kHeight, 4);
  Append(bytes, 1, 2);
  Append(bytes, static_cast<uint32_t>(bits), 2);
  bytes.resize(54);
  const Bytes rgb = Pixels();
  for (int y = kHeight - 1; y >= 0; --y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 2; c >= 0; --c) bytes.push_back(rgb[static_cast<size_t>((y * kWidth + x) * 3 + c)]);
      if (bits == 32) bytes.push_back(255);
    }
    while ((bytes.size() - 54) % 4 != 0) bytes.push_back(0);
  }
  return bytes;
}

Bytes Pnm() {
  const std::string header = "P6\n# made by hand\n5 3\n255\n";
  Bytes bytes(header.begin(), header.end());
  for (uint8_t value : Pixels()) bytes.push_back(value);
  return bytes;
}

// One strip without compression.
Bytes Tiff() {
  Bytes bytes = {'I', 'I', 42, 0};
  const Bytes rgb = Pixels();
  Append(bytes, static_cast<uint32_t>(8 + rgb.size() + 1), 4);
  bytes.insert(bytes.end(), rgb.begin(), rgb.end());
  bytes.push_back(0);
  const uint32_t entries[][3] = {{256, 1, kWidth}, {257, 1, kHeight}, {258, 3, 0},
                                 {259, 1, 1},      {262, 1, 2},       {273, 1, 8},
                                 {277, 1, 3},      {278, 1, kHeight}, {279, 1, kWidth * kHeight * 3}};
  Append(bytes, std::size(entries), 2);
  const auto bits_at = static_cast<uint32_t>(bytes.size() + std::size(entries) * 12 + 4);
  for (const auto& [tag, count, value] : entries) {
    Append(bytes, tag, 2);
    Append(bytes, 3, 2);  // of 16 bits
    Append(bytes, count, 4);
    Append(bytes, count == 3 ? bits_at : value, 4);
  }
  Append(bytes, 0, 4);
  for (int i = 0; i < 3; ++i) Append(bytes, 8, 2);
  return bytes;
}

// The same picture without loss, as OpenJPEG writes it.
Bytes Jpeg2000() {
  const std::string hex =
      "ff4fff51002f000000000005000000030000000000000000000000050000000300000000000000000003070101070101070101"
      "ff52"
      "000c00000001010004040001ff5c00044040ff640025000143726561746564206279204f70656e4a5045472076657273696f6e"
      "2032"
      "2e352e30ff90000a0000000000420001ff93c7d41c0688b4193dcbb9bf157998e32ab7df80781684e446dff178cc6e081a51e2"
      "7c7f"
      "df8070222c4e6bee44b8017c0f2a34d51fffd9";
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

OpCase Case(const Bytes& bytes, const char* format = "RGB") {
  return {"ImageDecoder",
          20,
          {{"pixel_format", std::string(format)}},
          {Tensor::From<uint8_t>({static_cast<int64_t>(bytes.size())}, bytes)}};
}

TEST(ImageDecoder, ReadsFormatsWithoutLoss) {
  const Tensor want = Tensor::From<uint8_t>({kHeight, kWidth, 3}, Pixels());
  for (const Bytes& bytes : {Png(), Webp(), Bmp(24), Bmp(32), Pnm(), Tiff(), Jpeg2000()}) {
    SCOPED_TRACE(FindImageFormat(std::as_bytes(std::span(bytes)))->name);
    ExpectTensor(RunOp(Case(bytes))[0], want);
  }
}

TEST(ImageDecoder, ReadsJpeg) {
  // One colour survives a JPEG.
  Bytes grey(16 * 16 * 3, 77);
  unsigned char* data = nullptr;
  unsigned long size = 0;  // NOLINT: TurboJPEG's type
  void* const handle = tjInitCompress();
  ASSERT_EQ(tjCompress2(handle, grey.data(), 16, 0, 16, TJPF_RGB, &data, &size, TJSAMP_420, 95, 0), 0);
  const Bytes bytes(data, data + size);
  tjFree(data);
  tjDestroy(handle);
  ExpectTensor(RunOp(Case(bytes))[0], Tensor::From<uint8_t>({16, 16, 3}, grey));
  ExpectTensor(RunOp(Case(bytes, "Grayscale"))[0], Tensor::From<uint8_t>({16, 16, 1}, Bytes(256, 77)));
}

TEST(ImageDecoder, OrdersChannels) {
  const Bytes rgb = Pixels();
  Bytes bgr, luma;
  for (size_t i = 0; i < rgb.size(); i += 3) {
    for (size_t c = 3; c-- > 0;) bgr.push_back(rgb[i + c]);
    luma.push_back(
        static_cast<uint8_t>(std::lround(0.299 * rgb[i] + 0.587 * rgb[i + 1] + 0.114 * rgb[i + 2])));
  }
  ExpectTensor(RunOp(Case(Png(), "BGR"))[0], Tensor::From<uint8_t>({kHeight, kWidth, 3}, bgr));
  ExpectTensor(RunOp(Case(Png(), "Grayscale"))[0], Tensor::From<uint8_t>({kHeight, kWidth, 1}, luma));
}

TEST(ImageDecoder, RefusesWhatItCannotRead) {
  ExpectRefused(Case({'G', 'I', 'F', '8', '9', 'a'}), "begins like no picture");
  ExpectRefused(Case(Png(), "YUV"), "pixel_format is 'YUV'");
  ExpectRefused({"ImageDecoder", 20, {}, {F({4}, {1, 2, 3, 4})}}, "expected uint8 [bytes]");
  ExpectRefused(Case({'P', '6', ' ', '9', '9', '9', '9', '9', '9', ' ', '9',
                      '9', '9', '9', '9', '9', ' ', '2', '5', '5', ' '}),
                "a picture of 999999 x 999999 pixels");
  // A file that ends early is an error or a picture, never a crash.
  for (const Bytes& whole : {Png(), Webp(), Bmp(24), Pnm(), Tiff(), Jpeg2000()}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      try {
        RunOp(Case(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))));
      } catch (const Error&) {
      }
    }
  }
}

// Damaged bytes are an error or another picture, never a crash.
TEST(ImageDecoder, SurvivesDamage) {
  std::mt19937 engine(1);
  for (const Bytes& whole : {Png(), Webp(), Bmp(24), Bmp(32), Pnm(), Tiff(), Jpeg2000()}) {
    for (int i = 0; i < 200; ++i) {
      Bytes bytes = whole;
      for (uint32_t changes = 1 + engine() % 3; changes > 0; --changes)
        bytes[engine() % bytes.size()] = static_cast<uint8_t>(engine());
      try {
        RunOp(Case(bytes));
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace sluice::test
