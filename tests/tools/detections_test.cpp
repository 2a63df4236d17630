#include "tools/detections.h"

#include <gtest/gtest.h>

#include <limits>

#include "sluice/error.h"

namespace sluice::tools {
namespace {

Tensor Boxes(const std::vector<float>& values) {
  return Tensor::From<float>({1, static_cast<int64_t>(values.size() / 4), 4}, values);
}
Tensor Scores(int64_t rows, int64_t classes, const std::vector<float>& values) {
  return Tensor::From<float>({1, rows, classes}, values);
}

TEST(Overlap, IsIntersectionOverUnion) {
  EXPECT_FLOAT_EQ(Overlap({0, 0, 2, 2}, {1, 0, 3, 2}), 1.0f / 3);
  EXPECT_FLOAT_EQ(Overlap({0, 0, 2, 2}, {0, 0, 2, 2}), 1);
  EXPECT_FLOAT_EQ(Overlap({0, 0, 1, 1}, {1, 1, 2, 2}), 0);
  EXPECT_FLOAT_EQ(Overlap({0, 0, 0, 0}, {0, 0, 0, 0}), 0);
}

TEST(Decode, KeepsTheBestOfThoseThatOverlapWithinAClass) {
  const Tensor boxes = Boxes({0, 0, 10, 10, 1, 0, 11, 10, 20, 20, 30, 30});
  // Both of the first two are of class 0, the first is of class 1 as well.
  const std::vector<Detection> found =
      Decode(boxes, Scores(3, 2, {0.6f, 0.5f, 0.9f, 0, 0.3f, 0.2f}), 0.25f, 0.45f);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].label, 0);
  EXPECT_FLOAT_EQ(found[0].score, 0.9f);
  EXPECT_EQ(found[0].box, (std::array<float, 4>{1, 0, 11, 10}));
  EXPECT_EQ(found[1].label, 1);
  EXPECT_FLOAT_EQ(found[2].score, 0.3f);
  EXPECT_EQ(Decode(boxes, Scores(3, 2, {0.6f, 0.5f, 0.9f, 0, 0.3f, 0.2f}), 0.25f, 1.0f).size(), 4u);
}

TEST(Decode, LeavesOutWhatIsNoNumber) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                  kInf = std::numeric_limits<float>::infinity();
  const Tensor boxes = Boxes({kNan, 0, 1, 1, 0, 0, kInf, 1, 0, 0, 1, 1, 2, 2, 3, 3});
  const std::vector<Detection> found = Decode(boxes, Scores(4, 1, {1, 1, kNan, 0.5f}), 0, 0.5f);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FLOAT_EQ(found[0].box[0], 2);
}

TEST(Decode, RefusesOtherShapes) {
  EXPECT_THROW(Decode(Boxes({0, 0, 1, 1}), Scores(2, 1, {1, 1}), 0, 1), Error);
  EXPECT_THROW(Decode(Tensor(DataType::kFloat, {1, 4}), Scores(1, 1, {1}), 0, 1), Error);
  EXPECT_THROW(Decode(Boxes({0, 0, 1, 1}), Tensor(DataType::kInt64, {1, 1, 1}), 0, 1), Error);
  EXPECT_EQ(Decode(Boxes({}), Scores(0, 3, {}), 0, 1).size(), 0u);
}

TEST(MapBack, UndoesTheFitAndStaysInThePicture) {
  const Fit fit{0.5, 0.25, 10, 20};
  std::vector<Detection> found = {
      {0, 1, {10, 20, 60, 45}}, {0, 1, {0, 0, 20, 30}}, {0, 1, {500, 500, 600, 600}}};
  MapBack(fit, 90, 80, found);
  ASSERT_EQ(found.size(), 2u);  // of the last nothing is left
  EXPECT_EQ(found[0].box, (std::array<float, 4>{0, 0, 90, 80}));
  EXPECT_EQ(found[1].box, (std::array<float, 4>{0, 0, 20, 40}));
}

TEST(ParseLabels, TakesLinesCommasAndJson) {
  const std::vector<std::string> expected = {"person", "traffic light", "dog"};
  EXPECT_EQ(ParseLabels("person\r\ntraffic light\ndog\n\n"), expected);
  EXPECT_EQ(ParseLabels("person, traffic light,dog"), expected);
  EXPECT_EQ(ParseLabels(" [\"person\", \"traffic light\", \"dog\"]"), expected);
  EXPECT_TRUE(ParseLabels("").empty());
  EXPECT_THROW(ParseLabels("[1, 2]"), Error);
  EXPECT_THROW(ParseLabels("[\"a\""), Error);
}

}  // namespace
}  // namespace sluice::tools
