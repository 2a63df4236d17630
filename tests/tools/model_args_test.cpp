#include "tools/model_args.h"

#include <gtest/gtest.h>

#include <set>

#include "sluice/error.h"
#include "tools/compare.h"
#include "tools/detections.h"
#include "tools/files.h"

namespace sluice::tools {
namespace {

ValueInfo Info(std::string name, DataType type, Shape shape) {
  ValueInfo info;
  info.name = std::move(name);
  info.dtype = type;
  info.has_shape = true;
  info.shape = std::move(shape);
  return info;
}

TEST(ParseShape, ReadsSizesAndOpenOnes) {
  EXPECT_EQ(ParseShape("1x3x64x64"), (Shape{1, 3, 64, 64}));
  EXPECT_EQ(ParseShape("?x3x-1"), (Shape{-1, 3, -1}));
  EXPECT_EQ(ParseShape("0"), Shape{0});
  EXPECT_EQ(ParseShape("scalar"), Shape{});
  for (const char* text : {"", "x", "1x", "1xx2", "-2", "1,2", "1x99999999999999999999"}) {
    EXPECT_THROW(ParseShape(text), Error) << text;
  }
}

TEST(ParseAssignment, FindsTheNameEvenWithEqualsSignsInIt) {
  const std::vector<ValueInfo> values = {Info("a", DataType::kFloat, {1}), Info("b=c", DataType::kFloat, {1})};
  EXPECT_EQ(ParseAssignment("a=x=y.npy", values, "input").rest, "x=y.npy");
  EXPECT_EQ(ParseAssignment("b=c=f.npy", values, "input").rest, "f.npy");
  EXPECT_EQ(ParseAssignment("f.npy", {values[0]}, "input").value->name, "a");
  for (const char* text : {"d=f.npy", "f.npy"}) {
    try {
      ParseAssignment(text, values, "input");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("'a' float [1], 'b=c' float [1]"), std::string::npos) << error.what();
    }
  }
}

TEST(Noise, IsTheSameForTheSameSeed) {
  const ValueInfo info = Info("x", DataType::kFloat, {-1, 100});
  EXPECT_TRUE(Compare(Noise(info, 5), Noise(info, 5), {.rtol = 0, .atol = 0}).equal);
  EXPECT_FALSE(Compare(Noise(info, 5), Noise(info, 6), {}).equal);
  EXPECT_EQ(Noise(info, 5).tensor().shape(), (Shape{1, 100}));
}

TEST(Noise, FillsEveryType) {
  for (int type = 1; type <= 26; ++type) {
    const Value value = Noise(Info("x", static_cast<DataType>(type), {3}), 1);
    EXPECT_EQ(value.tensor().dtype(), static_cast<DataType>(type));
  }
  ValueInfo sequence = Info("x", DataType::kFloat, {});
  sequence.is_sequence = true;
  EXPECT_THROW(Noise(sequence, 1), Error);
}

TEST(SafeFileName, StaysInTheFolderAndIsUnique) {
  std::set<std::string> taken;
  EXPECT_EQ(SafeFileName("output", taken), "output");
  EXPECT_EQ(SafeFileName("../../etc/passwd", taken), "_.._.._etc_passwd");
  EXPECT_EQ(SafeFileName("a/b:0", taken), "a_b_0");
  EXPECT_EQ(SafeFileName("a:b/0", taken), "a_b_0_1");
  EXPECT_EQ(SafeFileName("", taken), "_");
  EXPECT_EQ(SafeFileName("..", taken), "_..");
  EXPECT_LT(SafeFileName(std::string(5000, 'x'), taken).size(), 240u);
}

TEST(Extension, IsThatOfTheLastPart) {
  EXPECT_EQ(Extension("a.b/c.PNG"), ".png");
  EXPECT_EQ(Extension("a.b/c"), "");
}

TEST(Decode, KeepsTheBestOfOverlappingBoxesOfAClass) {
  const std::vector<float> boxes = {0, 0, 10, 10, 1, 1, 10, 10, 50, 50, 60, 60};
  const std::vector<float> scores = {0.9f, 0.1f, 0.8f, 0.7f, 0.3f, 0.2f};
  const auto found = Decode(Tensor::From<float>({1, 3, 4}, boxes), Tensor::From<float>({1, 3, 2}, scores), 0.25f, 0.45f);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].label, 0);
  EXPECT_FLOAT_EQ(found[0].score, 0.9f);
  EXPECT_EQ(found[1].label, 1);  // the second box, of the other class
  EXPECT_FLOAT_EQ(found[1].box[0], 1);
  EXPECT_FLOAT_EQ(found[2].box[0], 50);
  EXPECT_THROW(Decode(Tensor(DataType::kFloat, {1, 3, 5}), Tensor(DataType::kFloat, {1, 3, 2}), 0.5f, 0.5f), Error);
}

TEST(MapBack, UndoesTheLetterboxAndClamps) {
  std::vector<Detection> detections = {{0, 1, {10, 30, 50, 40}}, {0, 1, {0, 0, 5, 5}}};
  MapBack({0.5, 0.5, 0, 20}, 80, 40, detections);
  ASSERT_EQ(detections.size(), 1u);
  EXPECT_EQ(detections[0].box, (std::array<float, 4>{20, 20, 80, 40}));
}

TEST(ParseLabels, TakesJsonLinesAndCommas) {
  const std::vector<std::string> want = {"red circle", "square"};
  EXPECT_EQ(ParseLabels("[\"red circle\", \"square\"]"), want);
  EXPECT_EQ(ParseLabels("red circle\r\nsquare\n"), want);
  EXPECT_EQ(ParseLabels("red circle, square"), want);
  EXPECT_THROW(ParseLabels("[1, 2]"), Error);
}

}  // namespace
}  // namespace sluice::tools
