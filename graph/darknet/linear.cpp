#include "graph/darknet/linear.h"

namespace sluice::darknet {
namespace {

// Instead of Normalize: the weights as a late product, and the bias that goes with them.
Parameters Fold(Network& net, const Normalization& norm, int axis, Tensor weights) {
  const Affine affine = AffineOf(norm);
  const Shape& shape = weights.shape();
  Shape along(shape.size(), 1);
  along[static_cast<size_t>(axis)] = shape[static_cast<size_t>(axis)];
  GraphBuilder& b = net.build;
  const ValueId plain = b.Constant("weights", std::move(weights));
  const ValueId product = b.Op("Mul", {plain, b.Constant("factors", affine.scale.Reshaped(along))});
  std::swap(b.graph().value(plain).name, b.graph().value(product).name);
  return {product, b.Constant("bias", affine.shift), {}};
}

}  // namespace

Parameters Place(Network& net, Tensor weights, Tensor bias, std::optional<Normalization> norm, int axis) {
  // Past the end of the file there are no elements to scale.
  if (norm && net.fold && !net.weights.overrun()) return Fold(net, *norm, axis, std::move(weights));
  Parameters parameters;
  parameters.weights = net.build.Constant("weights", std::move(weights));
  if (!norm) parameters.bias = net.build.Constant("bias", std::move(bias));
  parameters.norm = std::move(norm);
  return parameters;
}

Dense TakeDense(Network& net, int64_t inputs, int64_t outputs, bool normalized) {
  Dense dense;
  dense.transposed = net.weights.transposed();
  Tensor bias = net.weights.TakeNear({outputs}, 0.0f, 0.05f);
  Tensor weights =
      net.weights.Take(dense.transposed ? Shape{inputs, outputs} : Shape{outputs, inputs}, inputs);
  std::optional<Normalization> norm;
  if (normalized) norm = TakeNormalization(net, bias, outputs);
  dense.parameters =
      Place(net, std::move(weights), std::move(bias), std::move(norm), dense.transposed ? 1 : 0);
  return dense;
}

ValueId Apply(Network& net, const Dense& dense, ValueId x) {
  GraphBuilder& b = net.build;
  // Gemm wants its third input until opset 11.
  const auto& [weights, own_bias, norm] = dense.parameters;
  const ValueId bias = norm ? b.Floats("zero", {0.0f}) : own_bias;
  const ValueId y = b.Op("Gemm", {x, weights, bias}, {{"transB", int64_t{dense.transposed ? 0 : 1}}});
  return norm ? Normalize(net, y, *norm) : y;
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
  std::optional<Normalization> norm;
  if (normalized) norm = TakeNormalization(net, bias, shape.filters);
  const int64_t fan_in = channels / shape.groups * shape.size * shape.size;
  Tensor weights = net.weights.Take({shape.filters, channels / shape.groups, shape.size, shape.size}, fan_in);
  convolution.parameters = Place(net, std::move(weights), std::move(bias), std::move(norm), 0);
  return convolution;
}

Layer Apply(Network& net, const Section& section, const Convolution& convolution, const Layer& x) {
  const ConvolutionShape& s = convolution.shape;
  const int64_t span = s.dilation * (s.size - 1) + 1;
  Layer y;
  y.c = s.filters;
  y.h = OutputSize(section, x.h, 2 * s.pad, span, s.stride_y);
  y.w = OutputSize(section, x.w, 2 * s.pad, span, s.stride_x);
  const auto& [weights, bias, norm] = convolution.parameters;
  std::vector<ValueId> inputs = {x.value, weights};
  if (!norm) inputs.push_back(bias);
  y.value = net.build.Op("Conv", std::move(inputs),
                         {{"kernel_shape", std::vector<int64_t>{s.size, s.size}},
                          {"strides", std::vector<int64_t>{s.stride_y, s.stride_x}},
                          {"dilations", std::vector<int64_t>{s.dilation, s.dilation}},
                          {"pads", std::vector<int64_t>(4, s.pad)},
                          {"group", s.groups}});
  if (norm) y.value = Normalize(net, y.value, *norm);
  return y;
}

}  // namespace sluice::darknet
