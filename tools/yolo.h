#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sluice/session.h"

namespace sluice::tools {

// What the outputs of a detector mean, recognised from their names and shapes and from the model's metadata.
struct DetectorFormat {
  enum class Kind {
    kBoxes,    // `boxes` [1, K, 4] in pixels (left, top, right, bottom), `scores` [1, K, C]
    kDecoded,  // `boxes` [N, 4], `scores` [N], `classes` [N] after suppression: sluice convert --decode
    kDarknet,  // heads of sluice convert, see Head
    kYolo8,    // Ultralytics 8 and later: [1, 4 + C, K], centre and size in pixels, then scores
    kYolo5,    // Ultralytics 5: [1, K, 5 + C], centre and size in pixels, objectness, scores
    kYoloX,    // [1, K, 5 + C], offsets from cells of strides 8, 16 and 32, logarithms of sizes, scores
  };
  // With anchors: [1, anchors * (5 + C), h, w] after its activations. Without, of the first YOLO:
  // [1, side^2 * (C + 5 num)], scores of the classes of each cell, then objectness, then boxes of each box.
  struct Head {
    std::string output;
    int64_t classes = 0;
    bool new_coords = false;     // sizes are (2 x)^2 * anchor, otherwise exp(x) * anchor
    std::vector<float> anchors;  // width and height of each in pixels of the input
    int64_t side = 0, num = 0;
    bool squared = false;  // sizes are x^2 of the picture's, otherwise x

    int64_t rows(const Shape& shape) const;  // boxes that an output of this shape holds
  };
  Kind kind = Kind::kBoxes;
  std::string output;       // of the kinds with one
  std::vector<Head> heads;  // kDarknet
  // How pictures become the input.
  bool letterbox = true;  // otherwise they are stretched
  bool corner = false;    // letterboxed into the left upper corner instead of the middle
  std::string color = "auto", scale = "1/255";  // as `sluice run` takes them
};

// Nothing where the model is no detector that is known here. Throws Error{kInvalidModel} for metadata that do
// not fit.
std::optional<DetectorFormat> FindFormat(const std::vector<ValueInfo>& inputs,
                                         const std::vector<ValueInfo>& outputs,
                                         const std::map<std::string, std::string>& metadata);

// Boxes [1, K, 4] in pixels of the input and scores [1, K, C] of a run with a picture of width x height.
// Throws Error{kInvalidArgument} for outputs of other shapes than their format has.
struct BoxesAndScores {
  Tensor boxes, scores;
};
BoxesAndScores DecodeOutputs(const DetectorFormat& format, const NamedValues& outputs, int width, int height);

// Names of the classes in the metadata: `labels` of sluice, `names` of Ultralytics; empty where there are
// none.
std::vector<std::string> LabelsOf(const std::map<std::string, std::string>& metadata);

}  // namespace sluice::tools
