#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sluice/session.h"
#include "tools/picture.h"

namespace CLI {
class App;
}

namespace sluice::tools {

struct Size {
  int width;
  int height;
};
// "640x480". Throws Error{kInvalidArgument}.
Size ParseSize(const std::string& text);

// How a picture becomes a tensor: value = (pixel - mean) * scale with pixels from 0 to 255.
struct PictureOptions {
  std::vector<std::string> mean;    // one number or one a channel; none: 0
  std::vector<std::string> scale;   // the same, "1/255" is allowed; none: 1/255 for floats, 1 for integers
  std::string layout = "auto";      // nchw, nhwc; auto: where the model's input has 1 or 3 channels
  std::string color = "auto";       // rgb, bgr, gray; auto: gray for one channel, otherwise rgb
  std::string resize;               // "WxH": to this size
  std::string letterbox;            // "WxH": into this size, proportions kept
};
void AddPictureOptions(CLI::App& app, PictureOptions& options);

// A batch of one picture for an input of this type and shape (rank 3 or 4, -1 for open sizes).
// Throws Error{kInvalidArgument} where the picture's size does not fit, saying what does.
Tensor PictureToTensor(const Picture& picture, const PictureOptions& options, const ValueInfo& input);

// The way back for a model's output: pixel = value / scale + mean, rounded and clamped. A tensor of
// 1 or 3 channels in either layout, batch 1 or none. Throws Error{kInvalidArgument} otherwise.
Picture TensorToPicture(const Tensor& tensor, const PictureOptions& options, const std::string& name);

}  // namespace sluice::tools
