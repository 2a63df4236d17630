#include "tools/yolo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sluice/error.h"
#include "tools/detections.h"
#include "tools/elements.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::json;
using Kind = DetectorFormat::Kind;

constexpr int kStrides[] = {8, 16, 32};

const ValueInfo* FindOutput(const std::vector<ValueInfo>& outputs, const std::string& name) {
  const auto found =
      std::find_if(outputs.begin(), outputs.end(), [&](const ValueInfo& info) { return info.name == name; });
  return found == outputs.end() ? nullptr : &*found;
}

DetectorFormat ReadDarknet(const std::string& text, const std::vector<ValueInfo>& outputs) {
  DetectorFormat format;
  format.kind = Kind::kDarknet;
  try {
    const Json json = Json::parse(text);
    format.letterbox = json.at("resize") != "stretch";
    format.color = json.value("color", format.color);
    format.scale = json.value("scale", format.scale);
    if (format.color != "auto" && format.color != "rgb" && format.color != "bgr" && format.color != "gray")
      throw Error(ErrorCode::kInvalidModel,
                  "metadata sluice.detector: color '" + format.color + "' is unknown");
    for (const Json& entry : json.at("heads")) {
      DetectorFormat::Head head;
      head.output = entry.at("output");
      head.classes = entry.at("classes");
      if (entry.at("kind") == "detection") {
        head.side = entry.at("side");
        head.num = entry.at("num");
        head.squared = entry.at("squared");
      } else {
        head.new_coords = entry.at("new_coords");
        head.anchors = entry.at("anchors").get<std::vector<float>>();
      }
      constexpr int64_t kMost = 1 << 20;
      const auto out_of_range = [](int64_t value) { return value < 1 || value > kMost; };
      const bool wrong = head.anchors.empty() ? out_of_range(head.side) || out_of_range(head.num)
                                              : head.anchors.size() % 2 != 0;
      if (FindOutput(outputs, head.output) == nullptr || out_of_range(head.classes) || wrong) {
        throw Error(ErrorCode::kInvalidModel,
                    fmt::format("metadata sluice.detector: head '{}' does not fit the model", head.output));
      }
      format.heads.push_back(std::move(head));
    }
    if (format.heads.empty()) throw Error(ErrorCode::kInvalidModel, "metadata sluice.detector: no heads");
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kInvalidModel, fmt::format("metadata sluice.detector: {}", error.what()));
  }
  return format;
}

// Cells of all strides together; 0 where the size is open.
int64_t CellsOf(const ValueInfo& input) {
  int64_t cells = 0;
  for (int stride : kStrides) {
    if (input.shape[2] <= 0 || input.shape[3] <= 0) return 0;
    cells += input.shape[2] / stride * (input.shape[3] / stride);
  }
  return cells;
}

const Tensor& OutputOf(const NamedValues& outputs, const std::string& name, size_t rank) {
  const Tensor& tensor = outputs.at(name).tensor();
  if (tensor.dtype() != DataType::kFloat || tensor.shape().size() != rank ||
      (rank > 2 && tensor.shape()[0] != 1)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("output '{}' is {}, expected float of rank {} for one picture", name,
                            DescribeValue(tensor), rank));
  }
  return tensor;
}

// Collects rows of a box and scores.
class Rows {
 public:
  Rows(int64_t count, int64_t classes)
      : result_{Tensor(DataType::kFloat, {1, count, 4}), Tensor(DataType::kFloat, {1, count, classes})},
        box_(result_.boxes.mutable_values<float>().data()),
        score_(result_.scores.mutable_values<float>().data()) {}

  // `score(c)` for each class.
  template <typename Score>
  void Add(float x, float y, float width, float height, const Score& score) {
    *box_++ = x - width / 2;
    *box_++ = y - height / 2;
    *box_++ = x + width / 2;
    *box_++ = y + height / 2;
    const int64_t classes = result_.scores.shape()[2];
    for (int64_t c = 0; c < classes; ++c) *score_++ = score(c);
  }
  BoxesAndScores Take() { return std::move(result_); }

 private:
  BoxesAndScores result_;
  float* box_;
  float* score_;
};

// The head's output of one picture; throws where its shape is not what the head asks for.
const Tensor& HeadOutput(const DetectorFormat::Head& head, const NamedValues& outputs) {
  const bool grid = head.anchors.empty();
  const Tensor& tensor = OutputOf(outputs, head.output, grid ? 2 : 4);
  const int64_t expected = grid ? head.side * head.side * (head.classes + 5 * head.num)
                                : static_cast<int64_t>(head.anchors.size() / 2) * (5 + head.classes);
  if (tensor.shape()[0] != 1 || tensor.shape()[1] != expected) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("output '{}' is {}, expected {} channels for one picture", head.output,
                            ToString(tensor.shape()), expected));
  }
  return tensor;
}

void DecodeAnchors(const DetectorFormat::Head& head, const Tensor& tensor, float width, float height,
                   Rows& rows) {
  const int64_t h = tensor.shape()[2], w = tensor.shape()[3], cells = h * w, entries = 5 + head.classes;
  const auto size = [&](float x, float anchor) {
    return head.new_coords ? 4 * x * x * anchor : std::exp(x) * anchor;
  };
  for (size_t a = 0; a < head.anchors.size() / 2; ++a) {
    const float* from = tensor.values<float>().data() + static_cast<int64_t>(a) * entries * cells;
    for (int64_t i = 0; i < cells; ++i) {
      const auto entry = [&](int64_t e) { return from[e * cells + i]; };
      rows.Add((static_cast<float>(i % w) + entry(0)) * width / static_cast<float>(w),
               (static_cast<float>(i / w) + entry(1)) * height / static_cast<float>(h),
               size(entry(2), head.anchors[2 * a]), size(entry(3), head.anchors[2 * a + 1]),
               [&](int64_t c) { return entry(4) * entry(5 + c); });
    }
  }
}

void DecodeGrid(const DetectorFormat::Head& head, const Tensor& tensor, float width, float height,
                Rows& rows) {
  const int64_t cells = head.side * head.side;
  const float* scores = tensor.values<float>().data();
  const float* objectness = scores + cells * head.classes;
  const float* boxes = objectness + cells * head.num;
  const auto side = static_cast<float>(head.side);
  const auto size = [&](float x) { return head.squared ? x * x : x; };
  for (int64_t i = 0; i < cells; ++i, scores += head.classes) {
    for (int64_t n = 0; n < head.num; ++n, ++objectness, boxes += 4) {
      rows.Add((static_cast<float>(i % head.side) + boxes[0]) * width / side,
               (static_cast<float>(i / head.side) + boxes[1]) * height / side, size(boxes[2]) * width,
               size(boxes[3]) * height, [&](int64_t c) { return *objectness * scores[c]; });
    }
  }
}

BoxesAndScores DecodeDarknet(const DetectorFormat& format, const NamedValues& outputs, int width,
                             int height) {
  int64_t count = 0;
  for (const DetectorFormat::Head& head : format.heads) {
    if (head.classes != format.heads[0].classes)
      throw Error(ErrorCode::kInvalidModel, "metadata sluice.detector: the heads differ in their classes");
    count += head.rows(HeadOutput(head, outputs).shape());
  }
  Rows rows(count, format.heads[0].classes);
  for (const DetectorFormat::Head& head : format.heads) {
    const auto decode = head.anchors.empty() ? DecodeGrid : DecodeAnchors;
    decode(head, HeadOutput(head, outputs), static_cast<float>(width), static_cast<float>(height), rows);
  }
  return rows.Take();
}

BoxesAndScores DecodeYolo8(const Tensor& tensor) {
  const int64_t count = tensor.shape()[2], classes = tensor.shape()[1] - 4;
  const float* from = tensor.values<float>().data();
  Rows rows(count, classes);
  for (int64_t k = 0; k < count; ++k) {
    const auto entry = [&](int64_t e) { return from[e * count + k]; };
    rows.Add(entry(0), entry(1), entry(2), entry(3), [&](int64_t c) { return entry(4 + c); });
  }
  return rows.Take();
}

BoxesAndScores DecodeYolo5(const Tensor& tensor) {
  const int64_t count = tensor.shape()[1], entries = tensor.shape()[2];
  Rows rows(count, entries - 5);
  for (int64_t k = 0; k < count; ++k) {
    const float* e = tensor.values<float>().data() + k * entries;
    rows.Add(e[0], e[1], e[2], e[3], [&](int64_t c) { return e[4] * e[5 + c]; });
  }
  return rows.Take();
}

BoxesAndScores DecodeYoloX(const Tensor& tensor, int width, int height) {
  const int64_t count = tensor.shape()[1], entries = tensor.shape()[2];
  int64_t cells = 0;
  for (int stride : kStrides) cells += int64_t{width / stride} * (height / stride);
  if (cells != count) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the output has {} rows, a picture of {} x {} has {} cells", count, width, height,
                            cells));
  }
  Rows rows(count, entries - 5);
  const float* e = tensor.values<float>().data();
  for (int stride : kStrides) {
    const auto step = static_cast<float>(stride);
    for (int y = 0; y < height / stride; ++y) {
      for (int x = 0; x < width / stride; ++x, e += entries) {
        rows.Add((static_cast<float>(x) + e[0]) * step, (static_cast<float>(y) + e[1]) * step,
                 std::exp(e[2]) * step, std::exp(e[3]) * step, [&](int64_t c) { return e[4] * e[5 + c]; });
      }
    }
  }
  return rows.Take();
}

// What is suppressed already, as rows with a score for their one class.
BoxesAndScores DecodeSuppressed(const NamedValues& outputs) {
  const Tensor &boxes = OutputOf(outputs, "boxes", 2), &scores = OutputOf(outputs, "scores", 1);
  const Tensor& classes = outputs.at("classes").tensor();
  const int64_t count = scores.num_elements();
  if (boxes.shape() != Shape{count, 4} || classes.dtype() != DataType::kInt64 ||
      classes.shape() != Shape{count}) {
    throw Error(ErrorCode::kInvalidArgument, "boxes, scores and classes do not fit one another");
  }
  int64_t most = 0;
  for (int64_t label : classes.values<int64_t>()) most = std::max(most, label);
  constexpr int64_t kMostClasses = 100'000;
  if (most > kMostClasses)
    throw Error(ErrorCode::kInvalidArgument, fmt::format("class {} is out of range", most));
  Tensor spread(DataType::kFloat, {1, count, most + 1});
  std::fill_n(spread.mutable_values<float>().begin(), spread.num_elements(), 0.0f);
  for (int64_t k = 0; k < count; ++k) {
    const int64_t label = classes.values<int64_t>()[static_cast<size_t>(k)];
    if (label >= 0)
      spread.mutable_values<float>()[static_cast<size_t>(k * (most + 1) + label)] =
          scores.values<float>()[static_cast<size_t>(k)];
  }
  return {boxes.Reshaped({1, count, 4}), std::move(spread)};
}

}  // namespace

int64_t DetectorFormat::Head::rows(const Shape& shape) const {
  return anchors.empty() ? side * side * num : static_cast<int64_t>(anchors.size() / 2) * shape[2] * shape[3];
}

std::optional<DetectorFormat> FindFormat(const std::vector<ValueInfo>& inputs,
                                         const std::vector<ValueInfo>& outputs,
                                         const std::map<std::string, std::string>& metadata) {
  if (inputs.size() != 1 || inputs[0].shape.size() != 4) return std::nullopt;
  DetectorFormat format;
  if (const auto darknet = metadata.find("sluice.detector"); darknet != metadata.end())
    return ReadDarknet(darknet->second, outputs);
  if (inputs[0].shape[1] != 3) return std::nullopt;
  if (FindOutput(outputs, "boxes") != nullptr && FindOutput(outputs, "scores") != nullptr) {
    format.kind = FindOutput(outputs, "classes") != nullptr ? Kind::kDecoded : Kind::kBoxes;
    if (const auto resize = metadata.find("sluice.resize"); resize != metadata.end())
      format.letterbox = resize->second != "stretch";
    return format;
  }
  if (outputs.size() != 1 || outputs[0].shape.size() != 3) return std::nullopt;
  format.output = outputs[0].name;
  const int64_t rows = outputs[0].shape[1], columns = outputs[0].shape[2], cells = CellsOf(inputs[0]);
  if (rows > 4 && (columns < 0 || columns > rows) && (cells == 0 || columns < 0 || columns == cells)) {
    format.kind = Kind::kYolo8;
    return format;
  }
  if (columns <= 5 || (cells != 0 && rows > 0 && rows != cells && rows != 3 * cells)) return std::nullopt;
  format.kind = cells != 0 && rows == cells ? Kind::kYoloX : Kind::kYolo5;
  if (format.kind == Kind::kYoloX) {
    format.corner = true;
    format.color = "bgr";
    format.scale = "1";
  }
  return format;
}

BoxesAndScores DecodeOutputs(const DetectorFormat& format, const NamedValues& outputs, int width,
                             int height) {
  switch (format.kind) {
    case Kind::kBoxes:
      return {outputs.at("boxes").tensor(), outputs.at("scores").tensor()};
    case Kind::kDecoded:
      return DecodeSuppressed(outputs);
    case Kind::kDarknet:
      return DecodeDarknet(format, outputs, width, height);
    case Kind::kYolo8:
      return DecodeYolo8(OutputOf(outputs, format.output, 3));
    case Kind::kYolo5:
      return DecodeYolo5(OutputOf(outputs, format.output, 3));
    case Kind::kYoloX:
      return DecodeYoloX(OutputOf(outputs, format.output, 3), width, height);
  }
  return {};
}

std::vector<std::string> LabelsOf(const std::map<std::string, std::string>& metadata) {
  if (const auto labels = metadata.find("labels"); labels != metadata.end())
    return ParseLabels(labels->second);
  const auto names = metadata.find("names");
  if (names == metadata.end()) return {};
  // A Python dictionary as text: {0: 'person', 1: "fish's"}.
  std::vector<std::string> labels;
  for (size_t at = 0; at < names->second.size(); ++at) {
    const char quote = names->second[at];
    if (quote != '\'' && quote != '"') continue;
    const size_t end = names->second.find(quote, at + 1);
    if (end == std::string::npos) break;
    labels.push_back(names->second.substr(at + 1, end - at - 1));
    at = end;
  }
  return labels;
}

}  // namespace sluice::tools
