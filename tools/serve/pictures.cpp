#include "tools/serve/pictures.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/detections.h"
#include "tools/serve/batch.h"

namespace sluice::serve {
namespace {

// A picture of these takes 300 MB while it is decoded.
constexpr int64_t kMaxPicturePixels = 50'000'000;
// Where a detector leaves its size open: that of most.
constexpr int kDefaultDetectorSize = 416;

bool IsChannels(int64_t size) { return size == 1 || size == 3; }

bool ChannelsLast(const Shape& shape, const std::string& layout) {
  if (layout != "auto") return layout == "nhwc";
  return !IsChannels(shape[shape.size() - 3]) && IsChannels(shape.back());
}

// One picture's part of all outputs.
NamedValues RowOf(const NamedValues& outputs, int64_t row, int64_t rows) {
  if (rows == 1) return outputs;
  NamedValues result;
  for (const auto& [name, value] : outputs) {
    if (!value.is_tensor() || value.tensor().rank() < 1 || value.tensor().shape()[0] != rows) {
      throw ServeError(Reason::kInvalid,
                       fmt::format("{} pictures in a request: the detector takes one at a time", rows));
    }
    result.emplace(name, RowSplitter(value.tensor()).Rows(row, 1));
  }
  return result;
}

}  // namespace

PictureReader::PictureReader(const Session& session, const ModelConfig& config)
    : inputs_(session.inputs()),
      pixels_(config.picture),
      threshold_(config.threshold),
      nms_(config.nms),
      letterbox_(config.letterbox || !config.picture.letterbox.empty()) {
  if (!pixels_.resize.empty() || !pixels_.letterbox.empty())
    size_ = tools::ParseSize(pixels_.resize.empty() ? pixels_.letterbox : pixels_.resize);
  pixels_.resize.clear();
  pixels_.letterbox.clear();
  if (config.detect) FindDetector(session, config);
  CheckOptions();
}

void PictureReader::FindDetector(const Session& session, const ModelConfig& config) {
  format_ = tools::FindFormat(session.inputs(), session.outputs(), session.metadata());
  if (!format_) throw Error(ErrorCode::kInvalidArgument, "detect: the model is no detector that is known");
  if (config.picture.resize.empty()) letterbox_ = letterbox_ || format_->letterbox;
  if (pixels_.scale.empty() && pixels_.mean.empty()) pixels_.scale = {format_->scale};
  if (pixels_.color == "auto") pixels_.color = format_->color;
  // A model that suppresses on its own has said all.
  if (format_->kind == tools::DetectorFormat::Kind::kDecoded) nms_ = 1;
  labels_ = config.labels.empty() ? tools::LabelsOf(session.metadata()) : config.labels;
}

void PictureReader::CheckOptions() const {
  const auto takes_pictures = [](const ValueInfo& info) {
    return info.dtype != DataType::kString &&
           (!info.has_shape || info.shape.size() == 3 || info.shape.size() == 4);
  };
  const auto input = std::find_if(inputs_.begin(), inputs_.end(), takes_pictures);
  if (input == inputs_.end())
    throw Error(ErrorCode::kInvalidArgument, "pictures: the model has no input of rank 3 or 4 for them");
  ValueInfo info = *input;
  if (info.has_shape && info.shape.size() == 4) info.shape[0] = -1;
  PicturePlace place;
  tools::PictureToTensor(Fitted(tools::Picture(1, 1), info, place), pixels_, info);
}

tools::Picture PictureReader::Fitted(const tools::Picture& picture, const ValueInfo& input,
                                     PicturePlace& place) const {
  int width = picture.width, height = picture.height;
  const size_t rank = input.shape.size();
  if (size_) {
    width = size_->width;
    height = size_->height;
  } else if (rank == 3 || rank == 4) {
    const bool last = ChannelsLast(input.shape, pixels_.layout);
    const int64_t h = input.shape[last ? rank - 3 : rank - 2], w = input.shape[last ? rank - 2 : rank - 1];
    if (h > 0 && w > 0) {
      width = static_cast<int>(w);
      height = static_cast<int>(h);
    } else if (detects()) {
      width = w > 0 ? static_cast<int>(w) : kDefaultDetectorSize;
      height = h > 0 ? static_cast<int>(h) : kDefaultDetectorSize;
    }
  }
  place = {.fit = {}, .width = picture.width, .height = picture.height};
  if (letterbox_) {
    const bool corner = format_ && format_->corner;
    return tools::Letterbox(picture, width, height, &place.fit,
                            corner ? tools::Align::kCorner : tools::Align::kMiddle);
  }
  place.fit.scale_x = static_cast<double>(width) / picture.width;
  place.fit.scale_y = static_cast<double>(height) / picture.height;
  return tools::Resize(picture, width, height);
}

Tensor PictureReader::Read(const Tensor& files, size_t input, std::vector<PicturePlace>& places) const {
  ValueInfo info = inputs_[input];
  const auto contents = files.values<std::string>();
  const auto count = static_cast<int64_t>(contents.size());
  if (count > 1 &&
      (!info.has_shape || info.shape.size() != 4 || (info.shape[0] >= 0 && info.shape[0] != count)))
    throw ServeError(Reason::kInvalid,
                     fmt::format("input '{}': {} pictures, the model takes {}", info.name, count,
                                 info.has_shape && info.shape.size() == 4 ? info.shape[0] : 1));
  if (info.has_shape && info.shape.size() == 4) info.shape[0] = -1;
  std::vector<Tensor> rows;
  places.clear();
  for (int64_t i = 0; i < count; ++i) {
    const std::string place = count == 1 ? "picture" : fmt::format("picture {}", i);
    try {
      const std::string& file = contents[static_cast<size_t>(i)];
      const tools::Picture picture =
          tools::DecodePicture(std::as_bytes(std::span(file)), place, kMaxPicturePixels);
      rows.push_back(tools::PictureToTensor(Fitted(picture, info, places.emplace_back()), pixels_, info));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidArgument && error.code() != ErrorCode::kUnsupported) throw;
      throw ServeError(Reason::kInvalid, error.what());
    }
    if (rows.back().shape() != rows[0].shape())
      throw ServeError(Reason::kInvalid,
                       fmt::format("picture {} becomes {}, picture 0 {}: send them apart", i,
                                   ToString(rows.back().shape()), ToString(rows[0].shape())));
  }
  if (count == 1) return std::move(rows[0]);
  std::vector<const Tensor*> parts;
  for (const Tensor& row : rows) parts.push_back(&row);
  return JoinRows(parts);
}

void PictureReader::Detect(const NamedValues& outputs, const std::vector<PicturePlace>& places,
                           const Tensor& input, InferResponse& response) const {
  std::vector<DetectedBox>& found = response.detections.emplace();
  std::vector<int32_t> pictures;
  const auto height = static_cast<int>(input.shape()[2]), width = static_cast<int>(input.shape()[3]);
  for (size_t i = 0; i < places.size(); ++i) {
    const NamedValues row = RowOf(outputs, static_cast<int64_t>(i), static_cast<int64_t>(places.size()));
    const tools::BoxesAndScores decoded = tools::DecodeOutputs(*format_, row, width, height);
    std::vector<tools::Detection> detections = tools::Decode(decoded.boxes, decoded.scores, threshold_, nms_);
    tools::MapBack(places[i].fit, places[i].width, places[i].height, detections);
    for (const tools::Detection& detection : detections) {
      DetectedBox& box = found.emplace_back();
      const auto label = static_cast<size_t>(detection.label);
      box.label = label < labels_.size() ? labels_[label] : fmt::format("class {}", label);
      box.score = detection.score;
      std::copy(detection.box.begin(), detection.box.end(), box.box);
      pictures.push_back(static_cast<int32_t>(i));
    }
  }
  const auto count = static_cast<int64_t>(found.size());
  Tensor boxes(DataType::kFloat, {count, 4}), scores(DataType::kFloat, {count}),
      labels(DataType::kString, {count});
  for (size_t i = 0; i < found.size(); ++i) {
    std::copy(std::begin(found[i].box), std::end(found[i].box),
              boxes.mutable_values<float>().begin() + 4 * static_cast<std::ptrdiff_t>(i));
    scores.mutable_values<float>()[i] = found[i].score;
    labels.mutable_values<std::string>()[i] = found[i].label;
  }
  response.outputs.emplace_back("boxes", std::move(boxes));
  response.outputs.emplace_back("scores", std::move(scores));
  response.outputs.emplace_back("labels", std::move(labels));
  response.outputs.emplace_back("pictures", Tensor::From<int32_t>({count}, pictures));
}

}  // namespace sluice::serve
