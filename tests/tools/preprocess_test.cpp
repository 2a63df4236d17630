#include "tools/preprocess.h"

#include <gtest/gtest.h>

#include "kernels/half.h"
#include "sluice/error.h"

namespace sluice::tools {
namespace {

ValueInfo Input(Shape shape, DataType type = DataType::kFloat) {
  ValueInfo info;
  info.name = std::string("x");
  info.dtype = type;
  info.has_shape = true;
  info.shape = std::move(shape);
  return info;
}

// Red, green / blue, grey.
Picture FourPixels() {
  Picture picture(2, 2);
  picture.rgb = {255, 0, 0, 0, 255, 0, 0, 0, 255, 51, 51, 51};
  return picture;
}

std::vector<float> Values(const Tensor& tensor) {
  const auto values = tensor.values<float>();
  return {values.begin(), values.end()};
}

void ExpectRefused(const PictureOptions& options, const ValueInfo& input, const std::string& part) {
  try {
    PictureToTensor(FourPixels(), options, input);
    ADD_FAILURE() << "not refused: " << part;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(PictureToTensor, GivesPlanesFromZeroToOne) {
  const Tensor tensor = PictureToTensor(FourPixels(), {}, Input({-1, 3, -1, -1}));
  EXPECT_EQ(tensor.shape(), (Shape{1, 3, 2, 2}));
  EXPECT_EQ(Values(tensor), (std::vector<float>{1, 0, 0, 0.2f, 0, 1, 0, 0.2f, 0, 0, 1, 0.2f}));
}

TEST(PictureToTensor, FollowsTheModelsLayout) {
  const Tensor tensor = PictureToTensor(FourPixels(), {}, Input({1, 2, 2, 3}));
  EXPECT_EQ(tensor.shape(), (Shape{1, 2, 2, 3}));
  EXPECT_EQ(Values(tensor), (std::vector<float>{1, 0, 0, 0, 1, 0, 0, 0, 1, 0.2f, 0.2f, 0.2f}));
}

TEST(PictureToTensor, AppliesMeanScaleAndOrder) {
  PictureOptions options;
  options.mean = {"1", "2", "3"};
  options.scale = {"1/2"};
  options.color = "bgr";
  const Tensor tensor = PictureToTensor(FourPixels(), options, Input({3, 2, 2}));
  EXPECT_EQ(tensor.shape(), (Shape{3, 2, 2}));
  EXPECT_EQ(Values(tensor), (std::vector<float>{-0.5f, -0.5f, 127, 25, -1, 126.5f, -1, 24.5f, 126, -1.5f, -1.5f, 24}));
}

TEST(PictureToTensor, MakesGreyForOneChannel) {
  PictureOptions options;
  options.scale = {"1"};
  const auto values = Values(PictureToTensor(FourPixels(), options, Input({1, 1, 2, 2})));
  EXPECT_NEAR(values[0], 76.245, 1e-3);
  EXPECT_NEAR(values[1], 149.685, 1e-3);
  EXPECT_NEAR(values[2], 29.07, 1e-3);
  EXPECT_NEAR(values[3], 51, 1e-3);
}

TEST(PictureToTensor, KeepsIntegersAsPixels) {
  const Tensor tensor = PictureToTensor(FourPixels(), {}, Input({1, 3, 2, 2}, DataType::kUInt8));
  EXPECT_EQ(tensor.values<uint8_t>()[0], 255);
  EXPECT_EQ(tensor.values<uint8_t>()[3], 51);
  PictureOptions options;
  options.mean = {"128"};
  EXPECT_EQ(PictureToTensor(FourPixels(), options, Input({1, 3, 2, 2}, DataType::kInt8)).values<int8_t>()[1], -128);
}

TEST(PictureToTensor, RoundsToHalf) {
  const Tensor tensor = PictureToTensor(FourPixels(), {}, Input({1, 3, 2, 2}, DataType::kFloat16));
  EXPECT_EQ(static_cast<float>(tensor.values<Half>()[0]), 1);
}

TEST(PictureToTensor, RefusesWhatDoesNotFit) {
  ExpectRefused({}, Input({1, 3, 4, 2}), "2x2 pixels, the model takes 2x4");
  ExpectRefused({}, Input({1, 4, 2, 2}), "4 channels");
  ExpectRefused({}, Input({2, 3, 2, 2}), "a batch of 2");
  ExpectRefused({}, Input({1, 12}), "rank 3 or 4");
  ExpectRefused({}, Input({1, 3, 2, 2}, DataType::kString), "string");
  PictureOptions options;
  options.mean = {"1", "2"};
  ExpectRefused(options, Input({1, 3, 2, 2}), "--mean: 2 numbers");
  options.mean = {"abc"};
  ExpectRefused(options, Input({1, 3, 2, 2}), "'abc' is no number");
  options.mean = {};
  options.scale = {"1/0"};
  ExpectRefused(options, Input({1, 3, 2, 2}), "not finite");
  options.scale = {};
  options.resize = "5by5";
  ExpectRefused(options, Input({1, 3, 2, 2}), "WIDTHxHEIGHT");
  options.resize = "999999x999999";
  ExpectRefused(options, Input({1, 3, 2, 2}), "WIDTHxHEIGHT");
}

TEST(PictureToTensor, ResizesFirst) {
  PictureOptions options;
  options.resize = "4x6";
  EXPECT_EQ(PictureToTensor(FourPixels(), options, Input({1, 3, -1, -1})).shape(), (Shape{1, 3, 6, 4}));
  options.resize = "";
  options.letterbox = "4x6";
  EXPECT_EQ(PictureToTensor(FourPixels(), options, Input({1, 3, 6, 4})).shape(), (Shape{1, 3, 6, 4}));
}

TEST(TensorToPicture, UndoesPictureToTensor) {
  for (const char* color : {"rgb", "bgr"}) {
    for (const Shape& shape : {Shape{1, 3, 2, 2}, Shape{2, 2, 3}}) {
      PictureOptions options;
      options.color = color;
      options.mean = {"120", "110", "100"};
      options.scale = {"0.017", "0.018", "0.019"};
      const Tensor tensor = PictureToTensor(FourPixels(), options, Input(shape));
      EXPECT_EQ(TensorToPicture(tensor, options, "y").rgb, FourPixels().rgb) << color;
    }
  }
}

TEST(TensorToPicture, ClampsAndTakesNanForBlack) {
  const Tensor tensor =
      Tensor::From<float>({1, 1, 1, 4}, std::vector<float>{-3, 0.5f, 7, std::numeric_limits<float>::quiet_NaN()});
  const Picture picture = TensorToPicture(tensor, {}, "y");
  EXPECT_EQ(picture.rgb, (std::vector<uint8_t>{0, 0, 0, 128, 128, 128, 255, 255, 255, 0, 0, 0}));
}

TEST(TensorToPicture, RefusesWhatIsNoPicture) {
  EXPECT_THROW(TensorToPicture(Tensor(DataType::kFloat, {1, 85, 20, 20}), {}, "y"), Error);
  EXPECT_THROW(TensorToPicture(Tensor(DataType::kFloat, {2, 3, 20, 20}), {}, "y"), Error);
  EXPECT_THROW(TensorToPicture(Tensor(DataType::kFloat, {10}), {}, "y"), Error);
  EXPECT_THROW(TensorToPicture(Tensor(DataType::kFloat, {1, 3, 0, 5}), {}, "y"), Error);
  EXPECT_THROW(TensorToPicture(Tensor(DataType::kString, {1, 3, 2, 2}), {}, "y"), Error);
}

}  // namespace
}  // namespace sluice::tools
