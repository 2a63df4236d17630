#pragma once

#include <string>
#include <vector>

#include "graph/attributes.h"
#include "sluice/tensor.h"

namespace sluice::bench {

// A convolution or transposed convolution of float tensors as a network has it, all sizes known.
struct ConvLayer {
  std::string name;  // "yolov3/256x52x52-512-k3x3-s1"
  std::string op_type;
  Attributes attrs;
  Shape src, weights, dst;
};

// The distinct layers of the .onnx files of a folder, after Sluice's passes, in the order of files and nodes;
// a layer that several networks have is named for the first. Throws Error.
std::vector<ConvLayer> ConvLayersOf(const std::string& folder);

}  // namespace sluice::bench
