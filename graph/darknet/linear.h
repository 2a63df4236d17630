#pragma once

#include "graph/darknet/network.h"

namespace sluice::darknet {

// What a layer multiplies by and adds, in the graph.
struct Parameters {
  ValueId weights = ValueId::kNone, bias = ValueId::kNone;  // no bias where `norm` has it
  std::optional<Normalization> norm;                        // what follows the layer, unless folded
};
// Puts them there. `norm` is folded where the network folds: into weights whose channels are along `axis`, 0 or 1.
Parameters Place(Network& net, Tensor weights, Tensor bias, std::optional<Normalization> norm, int axis);

// The weights of a [connected] section or of such a part of a recurrent one, in the order of the file.
struct Dense {
  Parameters parameters;
  bool transposed = false;  // [inputs, outputs] instead of [outputs, inputs]
};
Dense TakeDense(Network& net, int64_t inputs, int64_t outputs, bool normalized);
// x [n, inputs] to [n, outputs], without an activation.
ValueId Apply(Network& net, const Dense& dense, ValueId x);

struct ConvolutionShape {
  int64_t filters = 1, size = 1, groups = 1, dilation = 1, stride_x = 1, stride_y = 1;
  int64_t pad = 0;  // of each side, in pixels
};
// The same for [convolutional].
struct Convolution {
  ConvolutionShape shape;
  Parameters parameters;
};
// Fails where the groups divide `channels` or the filters not.
Convolution TakeConvolution(Network& net, const Section& section, int64_t channels,
                            const ConvolutionShape& shape, bool normalized);
// Fails where x is smaller than the window.
Layer Apply(Network& net, const Section& section, const Convolution& convolution, const Layer& x);

}  // namespace sluice::darknet
