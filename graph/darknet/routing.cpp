#include <algorithm>

#include "graph/darknet/network.h"

// [route], [shortcut], [sam], [scale_channels], [dropout], [cost]: sections that join earlier
// layers or pass on what they get.

namespace sluice::darknet {
namespace {

std::string Describe(const Layer& x) {
  return std::to_string(x.c) + " x " + std::to_string(x.h) + " x " + std::to_string(x.w);
}

// The channels of group `id` of `groups`.
Layer GroupOf(Network& net, const Section& section, const Layer& x, int64_t groups, int64_t id) {
  if (groups == 1) return x;
  if (x.c % groups != 0) {
    section.Fail("groups", "expected a divisor of " + std::to_string(x.c) + " channels, found " +
                               std::to_string(groups));
  }
  Layer part = x;
  part.c = x.c / groups;
  part.value = net.build.Slice(x.value, {part.c * id}, {part.c * (id + 1)}, {1});
  return part;
}

Layer Route(Network& net, const Section& section) {
  const std::vector<int64_t> indices = section.Ints("layers");
  if (indices.empty()) section.Fail("layers", "expected the layers to join, found none");
  const int64_t groups = section.Int("groups", 1, 1), id = section.Int("group_id", 0, 0);
  if (id >= groups)
    section.Fail("group_id",
                 "expected less than groups = " + std::to_string(groups) + ", found " + std::to_string(id));
  section.Ignore({"stream", "wait_stream"});
  std::vector<ValueId> parts;
  Layer y;
  for (int64_t index : indices) {
    const Layer part = GroupOf(net, section, net.At(section, "layers", index), groups, id);
    if (!parts.empty() && (part.h != y.h || part.w != y.w || part.flat != y.flat)) {
      section.Fail("layers", "layer " + std::to_string(index) + " is " + Describe(part) +
                                 ", expected height and width " + std::to_string(y.h) + " x " +
                                 std::to_string(y.w));
    }
    parts.push_back(part.value);
    const int64_t channels = y.c + part.c;
    y = part;
    y.c = channels;
    if (parts.size() == 1) y.c = part.c;
  }
  if (parts.size() > 1) y.value = net.build.Concat(std::move(parts), 1);
  return y;
}

// `from` with the channels of `like`: what it lacks counts as zero, what it has beyond is left out. Pictures
// of other sizes are taken at every (size / size)-th position, as shortcut_cpu does.
ValueId Fit(Network& net, const Section& section, const Layer& from, const Layer& like) {
  GraphBuilder& b = net.build;
  if (from.flat != like.flat)
    section.Fail("from", "expected " + Describe(like) + ", found " + Describe(from));
  ValueId value = from.value;
  if (from.h != like.h || from.w != like.w) {
    const int64_t stride = from.w / like.w;
    if (stride < 1 || from.h != like.h * stride || from.w != like.w * stride) {
      section.Fail("from", "expected " + Describe(like) + " or a multiple of that height and width, found " +
                               Describe(from));
    }
    // Slices have steps from opset 10 on only.
    value =
        b.Op("MaxPool", {value},
             {{"kernel_shape", std::vector<int64_t>{1, 1}}, {"strides", std::vector<int64_t>(2, stride)}});
  }
  if (from.c > like.c) value = b.Slice(value, {0}, {like.c}, {1});
  if (from.c < like.c) value = b.Pad(value, {0, 0, 0, 0, 0, like.c - from.c, 0, 0}, 0.0f);
  return value;
}

// Weights of one input each (or one a channel of each), after their own normalisation: [inputs, channels or
// 1, 1, 1].
std::vector<ValueId> ShortcutWeights(Network& net, const Section& section, int64_t inputs, const Layer& x) {
  const std::string type = section.String("weights_type", "none");
  const std::string normalization = section.String("weights_normalization", "none");
  if (type == "none") return {};
  const bool per_channel = type == "per_channel";
  if (!per_channel && type != "per_feature" && type != "per_layer") {
    section.Fail("weights_type", "expected none, per_feature or per_channel, found '" + type + "'");
  }
  const int64_t channels = per_channel ? x.c : 1;
  GraphBuilder& b = net.build;
  ValueId weights = b.Constant("weights", net.weights.TakeNear({inputs, channels, 1, 1}, 1.0f, 0.1f));
  constexpr float kEpsilon = 0.0001f;
  if (normalization == "relu" || normalization == "avg_relu") {
    weights = b.Op("Relu", {weights});
  } else if (normalization == "softmax") {
    weights = b.Op("Exp", {b.Op("Sub", {weights, b.Reduce("ReduceMax", weights, {0}, true)})});
  } else if (normalization != "none") {
    section.Fail("weights_normalization", "expected none, relu or softmax, found '" + normalization + "'");
  }
  if (normalization != "none") {
    const ValueId sum =
        b.Op("Add", {b.Reduce("ReduceSum", weights, {0}, true), b.Scalar("epsilon", kEpsilon)});
    weights = b.Op("Div", {weights, sum});
  }
  return b.Split(weights, 0, std::vector<int64_t>(static_cast<size_t>(inputs), 1));
}

Layer Shortcut(Network& net, const Section& section) {
  const std::vector<int64_t> indices = section.Ints("from");
  if (indices.empty()) section.Fail("from", "expected the layers to add, found none");
  const float alpha = section.Float("alpha", 1.0f), beta = section.Float("beta", 1.0f);
  GraphBuilder& b = net.build;
  Layer y = net.current;
  const std::vector<ValueId> weights =
      ShortcutWeights(net, section, static_cast<int64_t>(indices.size()) + 1, y);
  const auto weighted = [&](ValueId x, size_t i) {
    return weights.empty() ? x : b.Op("Mul", {x, weights[i]});
  };
  const auto scaled = [&](ValueId x, float factor) {
    return factor == 1.0f ? x : b.Op("Mul", {x, b.Scalar("factor", factor)});
  };
  y.value = scaled(weighted(y.value, 0), alpha);
  for (size_t i = 0; i < indices.size(); ++i) {
    const ValueId other = Fit(net, section, net.At(section, "from", indices[i]), net.current);
    y.value = b.Op("Add", {y.value, scaled(weighted(other, i + 1), beta)});
  }
  y.value = Activate(net, section, y.value, "linear");
  return y;
}

Layer Sam(Network& net, const Section& section) {
  const Layer& from = net.At(section, "from", section.Int("from"));
  const Layer& x = net.current;
  if (from.c != x.c || from.h != x.h || from.w != x.w) {
    section.Fail("from", "expected " + Describe(x) + ", found " + Describe(from));
  }
  Layer y = x;
  y.value = Activate(net, section, net.build.Op("Mul", {x.value, from.value}), "linear");
  return y;
}

// The layer `from`, scaled by the layer before: one factor a channel, or with scale_wh one a position.
Layer ScaleChannels(Network& net, const Section& section) {
  const Layer& from = net.At(section, "from", section.Int("from"));
  const Layer& x = net.current;
  const bool by_position = section.Int("scale_wh", 0) != 0;
  const bool fits =
      by_position ? x.c == 1 && x.h == from.h && x.w == from.w : x.c == from.c && x.h == 1 && x.w == 1;
  if (!fits) section.Fail("from", "factors are " + Describe(x) + ", which does not scale " + Describe(from));
  Layer y = from;
  ValueId factors = x.value;
  if (x.flat && !from.flat) factors = net.build.Reshape(factors, {0, x.c, 1, 1});
  y.value = Activate(net, section, net.build.Op("Mul", {from.value, factors}), "linear");
  return y;
}

Layer PassOn(Network& net, const Section& section) {
  section.Ignore({"probability", "dropblock", "dropblock_size_rel", "dropblock_size_abs", "type", "scale",
                  "ratio", "noobj", "thresh"});
  return net.current;
}

const RegisterSection kRoute({"route"}, Route);
const RegisterSection kShortcut({"shortcut"}, Shortcut);
const RegisterSection kSam({"sam"}, Sam);
const RegisterSection kScaleChannels({"scale_channels"}, ScaleChannels);
const RegisterSection kDropout({"dropout", "cost"}, PassOn);

}  // namespace
}  // namespace sluice::darknet
