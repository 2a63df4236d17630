#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/darknet/decode.h"
#include "graph/graph.h"

namespace sluice {

struct DarknetOptions {
  int64_t opset = 13;   // 9 to the newest
  int64_t batch = 1;    // -1: left open, named "N"
  bool decode = false;  // outputs boxes, scores, classes instead of the heads
  bool fold = true;     // BatchNormalization into the convolution before it
  bool late = false;    // where it folds, weights are left as products (graph/late_products.h)
  darknet::DecodeOptions decoding;
  std::vector<std::string> names;  // of the classes; may be empty
  uint64_t seed = 1;               // of the weights where there is no file
};

// The network of a Darknet configuration file (pjreddie's and AlexeyAB's versions) with the weights of a
// .weights file, or seeded random ones where `weights` is empty. Input "image" [batch, channels, height,
// width], RGB from 0 to 1, stretched; or "input" [batch, inputs] for networks of vectors. Outputs are those
// of the heads, "yolo_0" and so on, [n, anchors * (5 + classes), h, w], or of the last layer, "output". What
// recurrent layers keep is an input and an output each, "gru_0_state" and "gru_0_state_next". Metadata:
// `labels`, and `sluice.detector`, a JSON text of what decoding needs. Throws Error{kInvalidModel} that names
// file, line, section and key, or both numbers of bytes.
std::unique_ptr<Graph> ImportDarknet(const std::string& cfg, const std::string& weights,
                                     const DarknetOptions& options);

// The same from memory; names are for messages.
std::unique_ptr<Graph> ImportDarknetText(std::string_view cfg, const std::string& cfg_name,
                                         darknet::Weights weights, const DarknetOptions& options);

}  // namespace sluice
