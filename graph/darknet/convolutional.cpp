#include <algorithm>

#include "graph/darknet/linear.h"

// [convolutional], [deconvolutional], [connected], [local]: the sections that multiply by weights.

namespace sluice::darknet {
namespace {

struct Strides {
  int64_t x, y;
};

Strides ReadStrides(const Section& section) {
  const int64_t stride = section.Int("stride", 1, 1, kMostWindow);
  return {section.Int("stride_x", stride, 1, kMostWindow), section.Int("stride_y", stride, 1, kMostWindow)};
}

int64_t ReadPadding(const Section& section, int64_t size) {
  const int64_t padding = section.Int("padding", 0, 0, kMostWindow);
  return section.Int("pad", 0) != 0 ? size / 2 : padding;
}

// What changes the weights or the result and that no published network uses.
void RefuseUnusual(const Section& section) {
  for (const char* key : {"binary", "xnor", "bin_output", "flipped", "deform", "sway", "rotate", "stretch",
                          "stretch_sway", "coordconv"}) {
    if (section.Float(key, 0) != 0) section.Fail(key, "not supported");
  }
  if (section.Has("share_index")) section.Fail("share_index", "not supported");
}

// Elements of the filters of [local] that pick patches: channels * size^4.
constexpr int64_t kMostPicked = 1 << 26;

Layer Convolutional(Network& net, const Section& section) {
  WantPicture(section, net.current);
  const int64_t antialiasing = section.Int("antialiasing", 0, 0);
  const Strides strides = ReadStrides(section);
  ConvolutionShape shape;
  shape.filters = section.Int("filters", 1, 1);
  shape.size = section.Int("size", 1, 1, kMostWindow);
  shape.groups = section.Int("groups", 1, 1, kMostWindow);
  shape.dilation = section.Int("dilation", 1, 1, kMostWindow);
  shape.pad = ReadPadding(section, shape.size) * shape.dilation;
  if (antialiasing == 0) {
    shape.stride_x = strides.x;
    shape.stride_y = strides.y;
  }
  const bool normalized = section.Int("batch_normalize", 0) != 0 || section.Int("cbn", 0) != 0;
  RefuseUnusual(section);
  section.Ignore({"assisted_excitation", "grad_centr", "dot", "angle", "stream", "wait_stream"});
  const Convolution convolution = TakeConvolution(net, section, net.current.c, shape, normalized);
  Layer y = Apply(net, section, convolution, net.current);
  y.value = Activate(net, section, y.value, "logistic");
  return antialiasing != 0 ? Blur(net, section, y, antialiasing, strides.x, strides.y) : y;
}

Layer Deconvolutional(Network& net, const Section& section) {
  const Layer x = net.current;
  WantPicture(section, x);
  const int64_t filters = section.Int("filters", 1, 1), size = section.Int("size", 1, 1, kMostWindow);
  const int64_t stride = section.Int("stride", 1, 1, kMostWindow), pad = ReadPadding(section, size);
  const bool normalized = section.Int("batch_normalize", 0) != 0;
  Layer y;
  y.c = filters;
  y.h = (x.h - 1) * stride + size - 2 * pad;
  y.w = (x.w - 1) * stride + size - 2 * pad;
  if (y.h < 1 || y.w < 1)
    section.Fail("pad", "padding " + std::to_string(pad) + " leaves nothing of the output");
  Tensor bias = net.weights.TakeNear({filters}, 0.0f, 0.05f);
  std::optional<Normalization> norm;
  if (normalized) norm = TakeNormalization(net, bias, filters);
  Tensor weights = net.weights.Take({x.c, filters, size, size},
                                    std::max<int64_t>(1, x.c * size * size / (stride * stride)));
  const Parameters parameters = Place(net, std::move(weights), std::move(bias), std::move(norm), 1);
  std::vector<ValueId> inputs = {x.value, parameters.weights};
  if (!parameters.norm) inputs.push_back(parameters.bias);
  y.value = net.build.Op("ConvTranspose", std::move(inputs),
                         {{"kernel_shape", std::vector<int64_t>{size, size}},
                          {"strides", std::vector<int64_t>{stride, stride}},
                          {"pads", std::vector<int64_t>(4, pad)}});
  if (parameters.norm) y.value = Normalize(net, y.value, *parameters.norm);
  y.value = Activate(net, section, y.value, "logistic");
  return y;
}

Layer Connected(Network& net, const Section& section) {
  const int64_t outputs = section.Int("output", 1, 1);
  const bool normalized = section.Int("batch_normalize", 0) != 0;
  const Dense dense = TakeDense(net, net.current.elems(), outputs, normalized);
  const ValueId y = Apply(net, dense, Flat(net.build, net.current));
  return {Activate(net, section, y, "logistic"), outputs, 1, 1, true};
}

// Weights of its own for every position: each patch of the input times a matrix.
Layer Local(Network& net, const Section& section) {
  const Layer& x = net.current;
  WantPicture(section, x);
  const int64_t filters = section.Int("filters", 1, 1), size = section.Int("size", 1, 1, kMostWindow);
  const int64_t stride = section.Int("stride", 1, 1, kMostWindow), pad = section.Int("pad", 0) != 0 ? 1 : 0;
  Layer y;
  y.c = filters;
  y.h = OutputSize(section, x.h, 2 * pad, size, stride);
  y.w = OutputSize(section, x.w, 2 * pad, size, stride);
  // Darknet counts its outputs so; where it differs from what fits it reads astray.
  const int64_t lost = pad != 0 ? 1 : size;
  if ((x.h - lost) / stride + 1 != y.h || (x.w - lost) / stride + 1 != y.w)
    section.Fail("pad", "Darknet pads [local] by 1, which suits size 3 only");
  const int64_t positions = y.h * y.w, square = size * size, patch = x.c * square;
  if (x.c > kMostPicked / (square * square))
    section.Fail("size", "too large for " + std::to_string(x.c) + " channels");
  GraphBuilder& b = net.build;
  Tensor bias = net.weights.TakeNear({filters, y.h, y.w}, 0.0f, 0.05f);
  Tensor weights = net.weights.Take({positions, filters, patch}, patch);
  // A convolution whose filters pick one element each makes the patches: [n, patch, h, w].
  Tensor picks(DataType::kFloat, {patch, 1, size, size});
  auto picked = picks.mutable_values<float>();
  for (int64_t i = 0; i < patch * square; ++i)
    picked[static_cast<size_t>(i)] = i / square % square == i % square ? 1.0f : 0.0f;
  const ValueId patches = b.Op("Conv", {x.value, b.Constant("picks", std::move(picks))},
                               {{"kernel_shape", std::vector<int64_t>{size, size}},
                                {"strides", std::vector<int64_t>{stride, stride}},
                                {"pads", std::vector<int64_t>(4, pad)},
                                {"group", x.c}});
  const ValueId columns = b.Transpose(b.Reshape(patches, {0, patch, positions}), {2, 1, 0});
  const ValueId products = b.Op("MatMul", {b.Constant("weights", std::move(weights)), columns});
  y.value = b.Op("Add", {b.Reshape(b.Transpose(products, {2, 1, 0}), {0, filters, y.h, y.w}),
                         b.Constant("bias", std::move(bias))});
  y.value = Activate(net, section, y.value, "logistic");
  return y;
}

const RegisterSection kConvolutional({"convolutional", "conv"}, Convolutional);
const RegisterSection kDeconvolutional({"deconvolutional", "deconv"}, Deconvolutional);
const RegisterSection kConnected({"connected", "conn"}, Connected);
const RegisterSection kLocal({"local"}, Local);

}  // namespace
}  // namespace sluice::darknet
