#include "tools/yolo.h"

#include <gtest/gtest.h>

#include <cmath>

#include "sluice/error.h"

namespace sluice::tools {
namespace {

using Kind = DetectorFormat::Kind;
using Metadata = std::map<std::string, std::string>;

ValueInfo Info(const std::string& name, const Shape& shape) {
  ValueInfo info;
  info.name = name;
  info.dtype = DataType::kFloat;
  info.has_shape = true;
  info.shape = shape;
  return info;
}

// Of pictures of 64 x 64: 64 + 16 + 4 cells.
const std::vector<ValueInfo> kInput = {Info("images", {1, 3, 64, 64})};

std::optional<DetectorFormat> Find(const std::vector<ValueInfo>& outputs, const Metadata& metadata = {},
                                   const std::vector<ValueInfo>& inputs = kInput) {
  return FindFormat(inputs, outputs, metadata);
}

void ExpectBox(const BoxesAndScores& got, int64_t row, const std::vector<float>& box,
               const std::vector<float>& scores) {
  const auto boxes = got.boxes.values<float>().subspan(static_cast<size_t>(4 * row));
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(boxes[i], box[i], 1e-4) << "row " << row << ", number " << i;
  const auto classes = static_cast<size_t>(got.scores.shape()[2]);
  ASSERT_EQ(classes, scores.size());
  for (size_t c = 0; c < classes; ++c)
    EXPECT_NEAR(got.scores.values<float>()[static_cast<size_t>(row) * classes + c], scores[c], 1e-5)
        << "class " << c;
}

TEST(FindFormat, KnowsDetectorsByTheirOutputs) {
  EXPECT_EQ(Find({Info("output0", {1, 6, 84})})->kind, Kind::kYolo8);
  EXPECT_EQ(Find({Info("output0", {-1, 84, -1})}, {}, {Info("images", {-1, 3, -1, -1})})->kind, Kind::kYolo8);
  EXPECT_EQ(Find({Info("output", {1, 252, 7})})->kind, Kind::kYolo5);
  EXPECT_EQ(Find({Info("output", {1, 84, 7})})->kind, Kind::kYoloX);
  EXPECT_EQ(Find({Info("boxes", {1, 9, 4}), Info("scores", {1, 9, 3})})->kind, Kind::kBoxes);
  EXPECT_EQ(Find({Info("boxes", {-1, 4}), Info("scores", {-1}), Info("classes", {-1})})->kind,
            Kind::kDecoded);
  EXPECT_FALSE(Find({Info("probabilities", {1, 1000})}));
  EXPECT_FALSE(Find({Info("output", {1, 83, 7})}));
  EXPECT_FALSE(Find({Info("output", {1, 84, 7})}, {}, {Info("images", {1, 4, 64, 64})}));
}

TEST(FindFormat, KnowsHowPicturesGoIn) {
  EXPECT_TRUE(Find({Info("output0", {1, 6, 84})})->letterbox);
  EXPECT_EQ(Find({Info("output0", {1, 6, 84})})->scale, "1/255");
  const DetectorFormat yolox = *Find({Info("output", {1, 84, 7})});
  EXPECT_TRUE(yolox.letterbox && yolox.corner);
  EXPECT_EQ(yolox.scale, "1");
  EXPECT_EQ(yolox.color, "bgr");
  const std::vector<ValueInfo> decoded = {Info("boxes", {-1, 4}), Info("scores", {-1}),
                                          Info("classes", {-1})};
  EXPECT_FALSE(Find(decoded, {{"sluice.resize", "stretch"}})->letterbox);
  EXPECT_TRUE(Find(decoded)->letterbox);
}

const std::string kYoloText =
    R"({"resize": "stretch", "color": "gray", "scale": "1/128", "heads": [{"output": "yolo_0", "kind": "yolo",
        "classes": 2, "new_coords": false, "anchors": [10, 20, 30, 40]}]})";

TEST(FindFormat, ReadsWhatConvertRecords) {
  const std::vector<ValueInfo> gray = {Info("image", {1, 1, 64, 64})};
  const DetectorFormat format =
      *Find({Info("yolo_0", {1, 14, 2, 2})}, {{"sluice.detector", kYoloText}}, gray);
  EXPECT_EQ(format.kind, Kind::kDarknet);
  EXPECT_FALSE(format.letterbox);
  EXPECT_EQ(format.color, "gray");
  EXPECT_EQ(format.scale, "1/128");
  ASSERT_EQ(format.heads.size(), 1u);
  EXPECT_EQ(format.heads[0].anchors, (std::vector<float>{10, 20, 30, 40}));
}

TEST(FindFormat, RefusesMetadataThatDoNotFit) {
  const std::vector<ValueInfo> outputs = {Info("yolo_0", {1, 14, 2, 2})};
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = kYoloText;
    text.replace(text.find(from), from.size(), to);
    return Metadata{{"sluice.detector", text}};
  };
  EXPECT_NO_THROW(Find(outputs, with("10, 20", "10, 21")));
  for (const Metadata& metadata : {with("yolo_0", "yolo_1"), with("2,", "0,"), with("10, 20,", "10,"),
                                   with("[10, 20, 30, 40]", "\"no\""), with("\"gray\"", "\"mauve\""),
                                   with("heads", "heats"), with("{", ""), with("10, 20, 30, 40", ""),
                                   Metadata{{"sluice.detector", R"({"resize": "stretch", "heads": []})"}}}) {
    EXPECT_THROW(Find(outputs, metadata), Error) << metadata.at("sluice.detector");
  }
}

TEST(DecodeOutputs, Yolo8) {
  // Columns of centre x, y, width, height, two scores.
  Tensor output(DataType::kFloat, {1, 6, 84});
  std::fill_n(output.mutable_values<float>().begin(), output.num_elements(), 0.0f);
  const float column[] = {30, 20, 10, 8, 0.1f, 0.7f};
  for (size_t e = 0; e < 6; ++e) output.mutable_values<float>()[e * 84 + 5] = column[e];
  const DetectorFormat format = *Find({Info("output0", {1, 6, 84})});
  const BoxesAndScores got = DecodeOutputs(format, {{"output0", output}}, 64, 64);
  EXPECT_EQ(got.boxes.shape(), (Shape{1, 84, 4}));
  ExpectBox(got, 5, {25, 16, 35, 24}, {0.1f, 0.7f});
  EXPECT_THROW(DecodeOutputs(format, {{"output0", output.Reshaped({6, 84})}}, 64, 64), Error);
}

TEST(DecodeOutputs, Yolo5) {
  Tensor output(DataType::kFloat, {1, 252, 7});
  std::fill_n(output.mutable_values<float>().begin(), output.num_elements(), 0.0f);
  const float row[] = {30, 20, 10, 8, 0.5f, 0.2f, 0.8f};
  std::copy_n(row, 7, output.mutable_values<float>().begin() + 3 * 7);
  const BoxesAndScores got = DecodeOutputs(*Find({Info("o", {1, 252, 7})}), {{"o", output}}, 64, 64);
  ExpectBox(got, 3, {25, 16, 35, 24}, {0.1f, 0.4f});
}

TEST(DecodeOutputs, YoloX) {
  Tensor output(DataType::kFloat, {1, 84, 7});
  std::fill_n(output.mutable_values<float>().begin(), output.num_elements(), 0.0f);
  // Row 64 + 6 is cell (2, 1) of stride 16.
  const float row[] = {0.25f, 0.5f, std::log(2.0f), std::log(0.5f), 0.5f, 0.2f, 0.8f};
  std::copy_n(row, 7, output.mutable_values<float>().begin() + 70 * 7);
  const DetectorFormat format = *Find({Info("o", {1, 84, 7})});
  const BoxesAndScores got = DecodeOutputs(format, {{"o", output}}, 64, 64);
  ExpectBox(got, 70, {36 - 16, 24 - 4, 36 + 16, 24 + 4}, {0.1f, 0.4f});
  EXPECT_THROW(DecodeOutputs(format, {{"o", output}}, 96, 64), Error);
}

DetectorFormat Darknet(const std::string& heads, const std::vector<ValueInfo>& outputs) {
  return *Find(outputs, {{"sluice.detector", R"({"resize": "stretch", "heads": [)" + heads + "]}"}});
}

// One head of 2 x 3 cells, two anchors, two classes: everything zero but anchor 1 in cell (x 2, y 1).
TEST(DecodeOutputs, DarknetHeads) {
  for (const bool new_coords : {false, true}) {
    Tensor output(DataType::kFloat, {1, 14, 2, 3});
    std::fill_n(output.mutable_values<float>().begin(), output.num_elements(), 0.0f);
    const float size = new_coords ? 0.25f : std::log(2.0f);
    const float entries[] = {0.5f, 0.25f, size, 0, 0.5f, 0.2f, 0.8f};
    for (size_t e = 0; e < 7; ++e) output.mutable_values<float>()[(7 + e) * 6 + 5] = entries[e];
    const DetectorFormat format = Darknet(
        std::string(
            R"({"output": "y", "kind": "yolo", "classes": 2, "anchors": [1, 2, 8, 6], "new_coords": )") +
            (new_coords ? "true}" : "false}"),
        {Info("y", {1, 14, 2, 3})});
    const BoxesAndScores got = DecodeOutputs(format, {{"y", output}}, 96, 64);
    EXPECT_EQ(got.boxes.shape(), (Shape{1, 12, 4}));
    // Cells of 32 x 32 pixels: the centre is at 80, 40.
    if (new_coords)
      ExpectBox(got, 11, {80 - 1, 40, 80 + 1, 40}, {0.1f, 0.4f});  // 4 * 0.25^2 * 8 wide
    else
      ExpectBox(got, 11, {80 - 8, 40 - 3, 80 + 8, 40 + 3}, {0.1f, 0.4f});
    EXPECT_THROW(DecodeOutputs(format, {{"y", output.Reshaped({1, 7, 4, 3})}}, 96, 64), Error);
    EXPECT_THROW(DecodeOutputs(format, {{"y", output.Reshaped({2, 7, 2, 3})}}, 96, 64), Error);
  }
}

TEST(DecodeOutputs, FirstYoloGrid) {
  // 2 x 2 cells, three classes, one box: scores, objectness, boxes.
  Tensor output(DataType::kFloat, {1, 32});
  std::fill_n(output.mutable_values<float>().begin(), output.num_elements(), 0.0f);
  auto values = output.mutable_values<float>();
  values[3 * 2 + 1] = 0.8f;  // cell (0, 1), class 1
  values[12 + 2] = 0.5f;
  const float box[] = {0.5f, 0.25f, 0.5f, 0.25f};
  std::copy_n(box, 4, values.begin() + 16 + 8);
  for (const bool squared : {false, true}) {
    const DetectorFormat format = Darknet(
        std::string(
            R"({"output": "d", "kind": "detection", "classes": 3, "side": 2, "num": 1, "squared": )") +
            (squared ? "true}" : "false}"),
        {Info("d", {1, 32})});
    const BoxesAndScores got = DecodeOutputs(format, {{"d", output}}, 80, 64);
    EXPECT_EQ(got.scores.shape(), (Shape{1, 4, 3}));
    const float w = squared ? 20 : 40, h = squared ? 4 : 16;
    ExpectBox(got, 2, {20 - w / 2, 40 - h / 2, 20 + w / 2, 40 + h / 2}, {0, 0.4f, 0});
    EXPECT_THROW(DecodeOutputs(format, {{"d", output.Reshaped({2, 16})}}, 80, 64), Error);
  }
}

TEST(DecodeOutputs, WhatTheModelHasSuppressed) {
  const DetectorFormat format = *Find({Info("boxes", {-1, 4}), Info("scores", {-1}), Info("classes", {-1})});
  const Tensor boxes = Tensor::From<float>({2, 4}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor scores = Tensor::From<float>({2}, std::vector<float>{0.9f, 0.8f}),
               classes = Tensor::From<int64_t>({2}, std::vector<int64_t>{2, 0});
  const BoxesAndScores got =
      DecodeOutputs(format, {{"boxes", boxes}, {"scores", scores}, {"classes", classes}}, 64, 64);
  ExpectBox(got, 0, {1, 2, 3, 4}, {0, 0, 0.9f});
  ExpectBox(got, 1, {5, 6, 7, 8}, {0.8f, 0, 0});
  EXPECT_THROW(DecodeOutputs(format, {{"boxes", boxes}, {"scores", scores}, {"classes", scores}}, 64, 64),
               Error);
  const Tensor far = Tensor::From<int64_t>({2}, std::vector<int64_t>{int64_t{1} << 40, 0});
  EXPECT_THROW(DecodeOutputs(format, {{"boxes", boxes}, {"scores", scores}, {"classes", far}}, 64, 64),
               Error);
}

TEST(LabelsOf, ReadsOursAndUltralytics) {
  EXPECT_EQ(LabelsOf({{"labels", "cat\ndog"}}), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(LabelsOf({{"names", "{0: 'person', 1: \"fish's\"}"}}),
            (std::vector<std::string>{"person", "fish's"}));
  EXPECT_TRUE(LabelsOf({}).empty());
}

}  // namespace
}  // namespace sluice::tools
