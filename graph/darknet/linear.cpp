#include "graph/darknet/linear.h"

namespace sluice::darknet {
namespace {

// Whether the weights' elements may be touched and are to be scaled.
bool Folds(const Network& net, bool normalized) { return normalized && net.fold && !net.weights.overrun(); }

}  // namespace

Dense TakeDense(Network& net, int64_t inputs, int64_t outputs, bool normalized) {
  GraphBuilder& b = net.build;
  Dense dense;
  dense.transposed = net.weights.transposed();
  Tensor bias = net.weights.TakeNear({outputs}, 0.0f, 0.05f);
  Tensor weights =
      net.weights.Take(dense.transposed ? Shape{inputs, outputs} : Shape{outputs, inputs}, inputs);
  if (normalized) {
    Normalization norm = TakeNormalization(net, bias, outputs);
    if (Folds(net, normalized))
      bias = Fold(net, norm, dense.transposed ? 1 : 0, weights);
    else
      dense.norm = std::move(norm);
  }
  dense.weights = b.Constant("weights", std::move(weights));
  if (!dense.norm) dense.bias = b.Constant("bias", std::move(bias));
  return dense;
}

ValueId Apply(Network& net, const Dense& dense, ValueId x) {
  GraphBuilder& b = net.build;
  // Gemm wants its third input until opset 11.
  const ValueId bias = dense.norm ? b.Floats("zero", {0.0f}) : dense.bias;
  const ValueId y = b.Op("Gemm", {x, dense.weights, bias}, {{"transB", int64_t{dense.transposed ? 0 : 1}}});
  return dense.norm ? Normalize(net, y, *dense.norm) : y;
}

Convolution TakeConvolution(Network& net, const Section& section, int64_t channels,
                            const ConvolutionShape& shape, bool normalized) {
  if (channels % shape.groups != 0 || shape.filters % shape.groups != 0) {
    section.Fail("groups", "expected a divisor of " + std::to_string(channels) + " channels and " +
                               std::to_string(shape.filters) + " filters, found " +
                               std::to_string(shape.groups));
  }
  Convolution convolution;
  convolution.shape = shape;
  Tensor bias = net.weights.TakeNear({shape.filters}, 0.0f, 0.05f);
  Normalization norm;
  if (normalized) norm = TakeNormalization(net, bias, shape.filters);
  const int64_t fan_in = channels / shape.groups * shape.size * shape.size;
  Tensor weights = net.weights.Take({shape.filters, channels / shape.groups, shape.size, shape.size}, fan_in);
  if (Folds(net, normalized))
    bias = Fold(net, norm, 0, weights);
  else if (normalized)
    convolution.norm = std::move(norm);
  GraphBuilder& b = net.build;
  convolution.weights = b.Constant("weights", std::move(weights));
  if (!convolution.norm) convolution.bias = b.Constant("bias", std::move(bias));
  return convolution;
}

Layer Apply(Network& net, const Section& section, const Convolution& convolution, const Layer& x) {
  const ConvolutionShape& s = convolution.shape;
  const int64_t span = s.dilation * (s.size - 1) + 1;
  Layer y;
  y.c = s.filters;
  y.h = OutputSize(section, x.h, 2 * s.pad, span, s.stride_y);
  y.w = OutputSize(section, x.w, 2 * s.pad, span, s.stride_x);
  std::vector<ValueId> inputs = {x.value, convolution.weights};
  if (!convolution.norm) inputs.push_back(convolution.bias);
  y.value = net.build.Op("Conv", std::move(inputs),
                         {{"kernel_shape", std::vector<int64_t>{s.size, s.size}},
                          {"strides", std::vector<int64_t>{s.stride_y, s.stride_x}},
                          {"dilations", std::vector<int64_t>{s.dilation, s.dilation}},
                          {"pads", std::vector<int64_t>(4, s.pad)},
                          {"group", s.groups}});
  if (convolution.norm) y.value = Normalize(net, y.value, *convolution.norm);
  return y;
}

}  // namespace sluice::darknet
