#include <algorithm>
#include <cmath>

#include "graph/darknet/network.h"

// [convolutional], [deconvolutional], [connected]: the sections with weights.

namespace sluice::darknet {
namespace {

// Common to all sections: keys that matter in training only.
void IgnoreTraining(const Section& section) {
  section.Ignore({"stopbackward", "learning_rate_scale", "burnin_update", "train_only_bn", "dontload",
                  "dontloadscales", "onlyforward", "dont_update", "keep_delta_gpu", "clip", "show_details",
                  "reverse"});
}

struct Strides {
  int64_t x, y;
};

Strides ReadStrides(const Section& section) {
  const int64_t stride = section.Int("stride", 1, 1);
  return {section.Int("stride_x", stride, 1), section.Int("stride_y", stride, 1)};
}

int64_t ReadPadding(const Section& section, int64_t size) {
  const int64_t padding = section.Int("padding", 0, 0);
  return section.Int("pad", 0) != 0 ? size / 2 : padding;
}

void RefuseBinary(const Section& section) {
  for (const char* key : {"binary", "xnor", "bin_output", "flipped", "deform", "assisted_excitation"}) {
    if (section.Int(key, 0) != 0) section.Fail(key, "not supported");
  }
}

Layer Convolutional(Network& net, const Section& section) {
  const Layer x = net.current;
  if (x.flat) section.Fail("", "expected a picture before a convolution, found a flat layer");
  const int64_t filters = section.Int("filters", 1, 1), size = section.Int("size", 1, 1);
  const int64_t groups = section.Int("groups", 1, 1), dilation = section.Int("dilation", 1, 1);
  if (x.c % groups != 0 || filters % groups != 0) {
    section.Fail("groups", "expected a divisor of " + std::to_string(x.c) + " channels and " +
                               std::to_string(filters) + " filters, found " + std::to_string(groups));
  }
  Strides strides = ReadStrides(section);
  const Strides blur = strides;
  const int64_t antialiasing = section.Int("antialiasing", 0, 0);
  if (antialiasing != 0) strides = {1, 1};
  const int64_t pad = ReadPadding(section, size) * dilation, span = dilation * (size - 1) + 1;
  const bool normalized = section.Int("batch_normalize", 0) != 0;
  RefuseBinary(section);
  IgnoreTraining(section);

  Layer y;
  y.c = filters;
  y.h = OutputSize(section, x.h, 2 * pad, span, strides.y);
  y.w = OutputSize(section, x.w, 2 * pad, span, strides.x);
  const int64_t fan_in = x.c / groups * size * size;
  Tensor bias = net.weights.TakeNear({filters}, 0.0f, 0.05f);
  Normalization norm;
  if (normalized) norm = TakeNormalization(net, bias, filters);
  Tensor weights = net.weights.Take({filters, x.c / groups, size, size}, fan_in);
  const bool folded = normalized && net.fold && !net.weights.overrun();
  if (folded) bias = Fold(norm, 0, weights);
  GraphBuilder& b = net.build;
  std::vector<ValueId> inputs = {x.value, b.Constant("weights", std::move(weights))};
  if (!normalized || folded) inputs.push_back(b.Constant("bias", std::move(bias)));
  y.value = b.Op("Conv", std::move(inputs),
                 {{"kernel_shape", std::vector<int64_t>{size, size}},
                  {"strides", std::vector<int64_t>{strides.y, strides.x}},
                  {"dilations", std::vector<int64_t>{dilation, dilation}},
                  {"pads", std::vector<int64_t>(4, pad)},
                  {"group", groups}});
  if (normalized && !folded) y.value = Normalize(net, y.value, norm);
  y.value = Activate(net, section, y.value, "logistic");
  return antialiasing != 0 ? Blur(net, section, y, antialiasing, blur.x, blur.y) : y;
}

Layer Deconvolutional(Network& net, const Section& section) {
  const Layer x = net.current;
  if (x.flat) section.Fail("", "expected a picture before a transposed convolution, found a flat layer");
  const int64_t filters = section.Int("filters", 1, 1), size = section.Int("size", 1, 1);
  const int64_t stride = section.Int("stride", 1, 1), pad = ReadPadding(section, size);
  const bool normalized = section.Int("batch_normalize", 0) != 0;
  IgnoreTraining(section);
  Layer y;
  y.c = filters;
  y.h = (x.h - 1) * stride + size - 2 * pad;
  y.w = (x.w - 1) * stride + size - 2 * pad;
  if (y.h < 1 || y.w < 1)
    section.Fail("pad", "padding " + std::to_string(pad) + " leaves nothing of the output");
  Tensor bias = net.weights.TakeNear({filters}, 0.0f, 0.05f);
  Normalization norm;
  if (normalized) norm = TakeNormalization(net, bias, filters);
  Tensor weights = net.weights.Take({x.c, filters, size, size},
                                    std::max<int64_t>(1, x.c * size * size / (stride * stride)));
  const bool folded = normalized && net.fold && !net.weights.overrun();
  if (folded) bias = Fold(norm, 1, weights);
  GraphBuilder& b = net.build;
  std::vector<ValueId> inputs = {x.value, b.Constant("weights", std::move(weights))};
  if (!normalized || folded) inputs.push_back(b.Constant("bias", std::move(bias)));
  y.value = b.Op("ConvTranspose", std::move(inputs),
                 {{"kernel_shape", std::vector<int64_t>{size, size}},
                  {"strides", std::vector<int64_t>{stride, stride}},
                  {"pads", std::vector<int64_t>(4, pad)}});
  if (normalized && !folded) y.value = Normalize(net, y.value, norm);
  y.value = Activate(net, section, y.value, "logistic");
  return y;
}

Layer Connected(Network& net, const Section& section) {
  const Layer x = net.current;
  const int64_t outputs = section.Int("output", 1, 1), inputs = x.elems();
  const bool normalized = section.Int("batch_normalize", 0) != 0;
  IgnoreTraining(section);
  GraphBuilder& b = net.build;
  const ValueId flat = x.flat ? x.value : b.Op("Flatten", {x.value}, {{"axis", int64_t{1}}});
  Tensor bias = net.weights.TakeNear({outputs}, 0.0f, 0.05f);
  // Stored [inputs, outputs] in transposed files.
  const bool transposed = net.weights.transposed();
  Tensor weights = net.weights.Take(transposed ? Shape{inputs, outputs} : Shape{outputs, inputs}, inputs);
  std::vector<ValueId> operands = {flat, b.Constant("weights", std::move(weights))};
  // Gemm wants its third input until opset 11.
  if (normalized)
    operands.push_back(b.Floats("zero", {0.0f}));
  else
    operands.push_back(b.Constant("bias", bias));
  Layer y{b.Op("Gemm", std::move(operands), {{"transB", int64_t{transposed ? 0 : 1}}}), outputs, 1, 1, true};
  if (normalized) y.value = Normalize(net, y.value, TakeNormalization(net, std::move(bias), outputs));
  y.value = Activate(net, section, y.value, "logistic");
  return y;
}

const RegisterSection kConvolutional({"convolutional", "conv"}, Convolutional);
const RegisterSection kDeconvolutional({"deconvolutional", "deconv"}, Deconvolutional);
const RegisterSection kConnected({"connected", "conn"}, Connected);

}  // namespace
}  // namespace sluice::darknet
