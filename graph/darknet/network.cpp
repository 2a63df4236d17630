#include "graph/darknet/network.h"

#include <cmath>
#include <map>
#include <numeric>

namespace sluice::darknet {
namespace {

// .00001f in Darknet's normalize_cpu.
constexpr float kEpsilon = 1e-5f;

std::map<std::string, SectionBuilder>& Builders() {
  static std::map<std::string, SectionBuilder> builders;
  return builders;
}

}  // namespace

RegisterSection::RegisterSection(std::initializer_list<const char*> names, SectionBuilder builder) {
  for (const char* name : names) Builders()[name] = builder;
}

SectionBuilder FindSection(const std::string& name) {
  const auto found = Builders().find(name);
  return found == Builders().end() ? nullptr : found->second;
}

std::string KnownSections() {
  std::string names;
  for (const auto& [name, builder] : Builders()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

const Layer& Network::At(const Section& section, std::string_view key, int64_t index) const {
  const int64_t here = static_cast<int64_t>(layers.size());
  const int64_t absolute = index < 0 ? here + index : index;
  if (absolute < 0 || absolute >= here) {
    section.Fail(key, "expected a layer before this one (" + std::to_string(here) + "), found " +
                          std::to_string(index));
  }
  return layers[static_cast<size_t>(absolute)];
}

ValueId Flat(GraphBuilder& b, const Layer& x) {
  return x.flat ? x.value : b.Op("Flatten", {x.value}, {{"axis", int64_t{1}}});
}

void WantPicture(const Section& section, const Layer& x) {
  if (x.flat) section.Fail("", "expected a picture from the section before, found a flat layer");
}

ValueId SoftmaxAlong(GraphBuilder& b, ValueId x, int64_t axis, int64_t rank) {
  // Before opset 13 Softmax takes all axes from its own on together.
  if (b.opset() >= 13 || axis == rank - 1) return b.Op("Softmax", {x}, {{"axis", axis}});
  std::vector<int64_t> swap(static_cast<size_t>(rank));
  std::iota(swap.begin(), swap.end(), 0);
  std::swap(swap[static_cast<size_t>(axis)], swap.back());
  return b.Transpose(b.Op("Softmax", {b.Transpose(x, swap)}, {{"axis", rank - 1}}), swap);
}

int64_t OutputSize(const Section& section, int64_t in, int64_t pad, int64_t size, int64_t stride) {
  if (in + pad < size) {
    section.Fail("size", "a window of " + std::to_string(size) + " does not fit into " + std::to_string(in) +
                             " with padding " + std::to_string(pad));
  }
  return (in + pad - size) / stride + 1;
}

Normalization TakeNormalization(Network& net, Tensor bias, int64_t channels) {
  Normalization norm;
  norm.bias = std::move(bias);
  norm.scale = net.weights.TakeNear({channels}, 1.0f, 0.1f);
  norm.mean = net.weights.TakeNear({channels}, 0.0f, 0.1f);
  norm.variance = net.weights.TakeNear({channels}, 1.0f, 0.05f);
  if (net.weights.overrun()) return norm;
  const auto variances = norm.variance.values<float>();
  for (size_t i = 0; i < variances.size(); ++i) {
    if (variances[i] >= 0) continue;
    net.weights.Doubt("the variance of channel " + std::to_string(i) + " of " + net.build.prefix() + " is " +
                      std::to_string(variances[i]) + ", expected at least 0");
    break;
  }
  return norm;
}

ValueId Normalize(Network& net, ValueId x, const Normalization& norm) {
  GraphBuilder& b = net.build;
  return b.Op("BatchNormalization",
              {x, b.Constant("scale", norm.scale), b.Constant("bias", norm.bias),
               b.Constant("mean", norm.mean), b.Constant("variance", norm.variance)},
              {{"epsilon", kEpsilon}});
}

Affine AffineOf(const Normalization& norm) {
  const auto scale = norm.scale.values<float>(), mean = norm.mean.values<float>(),
             variance = norm.variance.values<float>(), bias = norm.bias.values<float>();
  Affine affine = {Tensor(DataType::kFloat, norm.scale.shape()),
                   Tensor(DataType::kFloat, norm.scale.shape())};
  for (size_t i = 0; i < scale.size(); ++i) {
    const double factor =
        static_cast<double>(scale[i]) / std::sqrt(static_cast<double>(variance[i]) + kEpsilon);
    affine.scale.mutable_values<float>()[i] = static_cast<float>(factor);
    affine.shift.mutable_values<float>()[i] = static_cast<float>(bias[i] - factor * mean[i]);
  }
  return affine;
}

Layer Blur(Network& net, const Section& section, const Layer& x, int64_t kind, int64_t stride_x,
           int64_t stride_y) {
  constexpr int64_t kMostBlurred = 1 << 20;
  if (x.c > kMostBlurred)
    section.Fail("antialiasing", "expected at most " + std::to_string(kMostBlurred) + " channels");
  const bool binomial = kind != 2;
  const int64_t size = binomial ? 3 : 2, pad = size == 3 ? 1 : 0;
  std::vector<float> kernel(4, 0.25f);
  if (binomial)
    kernel = {1 / 16.f, 2 / 16.f, 1 / 16.f, 2 / 16.f, 4 / 16.f, 2 / 16.f, 1 / 16.f, 2 / 16.f, 1 / 16.f};
  Tensor weights(DataType::kFloat, {x.c, 1, size, size});
  auto values = weights.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = kernel[i % kernel.size()];
  Layer y = x;
  y.h = OutputSize(section, x.h, 2 * pad, size, stride_y);
  y.w = OutputSize(section, x.w, 2 * pad, size, stride_x);
  y.value = net.build.Op("Conv", {x.value, net.build.Constant("blur", std::move(weights))},
                         {{"kernel_shape", std::vector<int64_t>{size, size}},
                          {"strides", std::vector<int64_t>{stride_y, stride_x}},
                          {"pads", std::vector<int64_t>(4, pad)},
                          {"group", x.c}});
  return y;
}

}  // namespace sluice::darknet
