#include "kernels/image/image.h"
#include "kernels/ops/params.h"
#include "sluice/error.h"

// ImageDecoder (20): an encoded picture, uint8 [bytes], as uint8 [height, width, channels] in the order that
// pixel_format says: "RGB", "BGR" or "Grayscale". BMP, JPEG, JPEG 2000, PNG, PNM, TIFF and WebP; opacity is
// dropped.

namespace sluice {
namespace {

class ImageDecoderKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    const std::string format = ctx.attrs().String("pixel_format", "RGB");
    if (format != "RGB" && format != "BGR" && format != "Grayscale")
      ctx.Fail("pixel_format is '" + format + "', expected 'RGB', 'BGR' or 'Grayscale'");
    grey_ = format == "Grayscale";
    reversed_ = format == "BGR";
    bytes_ = ctx.input(0).num_elements();
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const Image image = DecodeImage({ctx.in<std::byte>(0), static_cast<size_t>(bytes_)}, place_);
    Tensor result(DataType::kUInt8, {image.height, image.width, grey_ ? 1 : 3});
    const uint8_t* from = image.pixels.data();
    for (uint8_t *to = result.mutable_values<uint8_t>().data(), *end = to + result.num_elements(); to < end;
         from += image.channels) {
      // Luma as ITU-R BT.601 weighs it, in 16 bits of fraction.
      if (grey_)
        *to++ = static_cast<uint8_t>((from[0] * 19595 + from[1] * 38470 + from[2] * 7471 + 0x8000) >> 16);
      for (int c = 0; !grey_ && c < 3; ++c) *to++ = from[reversed_ ? 2 - c : c];
    }
    ctx.SetOutput(0, std::move(result));
  }

 private:
  std::string place_;
  bool grey_ = false, reversed_ = false;
  int64_t bytes_ = 0;
};

void InferImageDecoder(InferContext& ctx) {
  if (ctx.dtype(0) != DataType::kUInt8 || ctx.rank(0) != 1)
    ctx.Fail("input 0 is " + std::string(DataTypeName(ctx.dtype(0))) + " " + ToString(ctx.shape(0)) +
             ", expected uint8 [bytes]");
  ctx.SetOutput(0, DataType::kUInt8,
                {Dim(), Dim(), ctx.attrs().String("pixel_format", "RGB") == "Grayscale" ? 1 : 3});
}

const Operator kImageDecoder = {.name = "ImageDecoder",
                                .versions = {20},
                                .infer = InferImageDecoder,
                                .kernels = {&Make<ImageDecoderKernel>},
                                .types = "uint8"};
const RegisterOperator kRegister(kImageDecoder);

}  // namespace
}  // namespace sluice
