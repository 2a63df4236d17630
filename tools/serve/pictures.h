#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sluice/session.h"
#include "tools/picture.h"
#include "tools/serve/model.h"
#include "tools/serve/types.h"
#include "tools/yolo.h"

namespace sluice::serve {

// Where a picture lies in the model's input, and how large it was.
struct PicturePlace {
  tools::Fit fit;
  int width = 0, height = 0;
};

// Picture files as a model's input, and a detector's outputs as boxes. Immutable and thread-safe.
class PictureReader {
 public:
  // Throws Error{kInvalidArgument, kInvalidModel} where the configuration does not fit the model.
  PictureReader(const Session& session, const ModelConfig& config);

  // Files, BYTES [n] or [n, 1], as n rows of the input; places gets one entry a picture. Throws
  // ServeError{kInvalid} for files that are no pictures, too large, or differ in size where the model's is
  // open.
  Tensor Read(const Tensor& files, size_t input, std::vector<PicturePlace>& places) const;

  bool detects() const { return format_.has_value(); }
  // From all outputs of a run on `input`, the pictures at `places`: fills `detections` and adds the outputs
  // `boxes`, `scores`, `labels`, and `pictures` INT32 [n], which says of each box in which picture it is.
  void Detect(const NamedValues& outputs, const std::vector<PicturePlace>& places, const Tensor& input,
              InferResponse& response) const;

 private:
  void FindDetector(const Session& session, const ModelConfig& config);
  // Whether a picture can become the input at all.
  void CheckOptions() const;
  tools::Picture Fitted(const tools::Picture& picture, const ValueInfo& input, PicturePlace& place) const;

  std::vector<ValueInfo> inputs_;
  tools::PictureOptions pixels_;
  float threshold_, nms_;
  bool letterbox_;
  std::optional<tools::Size> size_;  // stated by the configuration
  std::optional<tools::DetectorFormat> format_;
  std::vector<std::string> labels_;
};

}  // namespace sluice::serve
