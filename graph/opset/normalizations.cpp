#include <numeric>

#include "graph/opset/crossing.h"

namespace sluice {
namespace {

using Ints = Crossing::Ints;

// The axes that a normalisation from `axis` on takes together.
Ints AxesFrom(Crossing& c, int64_t axis) {
  if (axis == -1) return {-1};
  const int64_t rank = c.NeedRank(0);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) c.Fail("axis is out of range");
  Ints axes(static_cast<size_t>(rank - axis));
  std::iota(axes.begin(), axes.end(), axis);
  return axes;
}

// Sums of 16-bit floats are made in float unless the node says otherwise.
bool Widens(Crossing& c) {
  const bool half = c.dtype(0) == DataType::kFloat16 || c.dtype(0) == DataType::kBFloat16;
  return half && c.attrs().Int("stash_type", 1) == 1;
}
ValueId CastTo(Crossing& c, ValueId x, DataType type) {
  return c.build().Op("Cast", {x}, {{"to", static_cast<int64_t>(type)}});
}

ValueId Root(Crossing& c, ValueId square, DataType type, float epsilon) {
  const ValueId sum = c.build().Op("Add", {square, c.Scalar("epsilon", type, static_cast<double>(epsilon))});
  return c.build().Op("Sqrt", {sum});
}

// Gives output `i`, where it is used, another producer.
void Provide(Crossing& c, size_t i, ValueId value) {
  if (c.UsesOutput(i)) c.ChangeOutput(i, [&](ValueId) { return value; });
}

// y = (x - mean) / sqrt(variance + epsilon) * scale + bias over the axes from `axis` on.
void LayerNorm(Crossing& c) {
  GraphBuilder& b = c.build();
  const Ints axes = AxesFrom(c, c.attrs().Int("axis", -1));
  const bool widens = Widens(c);
  const DataType type = c.dtype(0), inner = widens ? DataType::kFloat : type;
  const ValueId x = widens ? CastTo(c, c.in(0), inner) : c.in(0);
  const ValueId mean = b.Reduce("ReduceMean", x, axes, true);
  const ValueId centred = b.Op("Sub", {x, mean});
  const ValueId variance = b.Reduce("ReduceMean", b.Op("Mul", {centred, centred}), axes, true);
  const ValueId root = Root(c, variance, inner, c.attrs().Float("epsilon", 1e-5f));
  ValueId y = b.Op("Div", {centred, root});
  if (widens) y = CastTo(c, y, type);
  y = b.Op("Mul", {y, c.in(1)});
  if (c.has_input(2)) y = b.Op("Add", {y, c.in(2)});
  Provide(c, 1, mean);
  if (c.UsesOutput(2)) Provide(c, 2, b.Op("Reciprocal", {root}));
  c.Replace(y);
}

// y = x / sqrt(mean(x^2) + epsilon) * scale.
void RmsNorm(Crossing& c) {
  GraphBuilder& b = c.build();
  const Ints axes = AxesFrom(c, c.attrs().Int("axis", -1));
  const bool widens = Widens(c);
  const DataType type = c.dtype(0), inner = widens ? DataType::kFloat : type;
  const ValueId x = widens ? CastTo(c, c.in(0), inner) : c.in(0);
  const ValueId square = b.Reduce("ReduceMean", b.Op("Mul", {x, x}), axes, true);
  ValueId y = b.Op("Div", {x, Root(c, square, inner, c.attrs().Float("epsilon", 1e-5f))});
  if (widens) y = CastTo(c, y, type);
  c.Replace(b.Op("Mul", {y, c.in(1)}));
}

// y = (x - mean) / (deviation + 1e-9).
void MeanVariance(Crossing& c) {
  GraphBuilder& b = c.build();
  const Ints axes = c.attrs().Ints("axes", {0, 2, 3});
  const ValueId x = c.in(0);
  const ValueId centred = b.Op("Sub", {x, b.Reduce("ReduceMean", x, axes, true)});
  const ValueId variance = b.Reduce("ReduceMean", b.Op("Mul", {centred, centred}), axes, true);
  const ValueId deviation = b.Op("Sqrt", {variance});
  c.Replace(b.Op("Div", {centred, b.Op("Add", {deviation, c.Scalar("tiny", c.dtype(0), 1e-9)})}));
}

int64_t NeedChannels(Crossing& c) {
  const ValueType& type = c.type(c.in(0));
  if (!type.has_shape || type.shape.size() < 2 || !type.shape[1].known())
    c.Fail("its number of channels is not known");
  return type.shape[1].value();
}

// A number for each group becomes one for each channel.
void GroupsUp(Crossing& c) {
  const int64_t groups = c.attrs().Int("num_groups"), channels = NeedChannels(c);
  for (size_t i = 1; i <= 2; ++i) {
    const ValueId column = c.Reshaped(c.in(i), {groups, 1});
    const ValueId all =
        c.build().Op("Expand", {column, c.build().Ints("shape", {groups, channels / groups})});
    c.SetInput(i, c.build().Reshape(all, {channels}));
  }
}

// Groups are normalised with ones and zeros, channels scaled behind it.
void GroupsDown(Crossing& c) {
  const int64_t groups = c.attrs().Int("num_groups"), channels = NeedChannels(c), rank = c.NeedRank(0);
  const ValueId scale = c.in(1), bias = c.in(2);
  const DataType type = c.dtype(0);
  const Crossing::Numbers ones(static_cast<size_t>(groups), 1), zeros(static_cast<size_t>(groups), 0);
  c.SetInput(1, c.Constant("ones", type, {groups}, ones));
  c.SetInput(2, c.Constant("zeros", type, {groups}, zeros));
  c.attrs().Erase("stash_type");
  Shape along(static_cast<size_t>(rank - 1), 1);
  along[0] = channels;
  c.ChangeOutput(0, [&](ValueId y) {
    y = c.build().Op("Mul", {y, c.Reshaped(scale, along)});
    return c.build().Op("Add", {y, c.Reshaped(bias, along)});
  });
}

// With groups for channels it is InstanceNormalization.
void GroupNorm(Crossing& c) {
  GraphBuilder& b = c.build();
  const ValueId x = c.in(0), grouped = b.Reshape(x, {0, c.attrs().Int("num_groups"), -1});
  const ValueId y = b.Op("InstanceNormalization", {grouped, c.in(1), c.in(2)},
                         {{"epsilon", c.attrs().Float("epsilon", 1e-5f)}});
  c.Replace(b.Op("Reshape", {y, b.Op("Shape", {x})}));
}

// Until 14 outputs behind the first mean training; until 7 the node says that it does not train.
void BatchNormTraining(Crossing& c) {
  for (size_t i = 1; i < c.node().outputs.size(); ++i) {
    if (c.UsesOutput(i)) c.Fail("outputs of training are used");
  }
  c.DropOutputs(1);
}
void BatchNormTestDown(Crossing& c) { c.attrs().Set("is_test", int64_t{1}); }

constexpr Adapter kAdapters[] = {
    {"LayerNormalization", 17, nullptr, LayerNorm},
    {"RMSNormalization", 23, nullptr, RmsNorm},
    {"MeanVarianceNormalization", 9, nullptr, MeanVariance},
    {"GroupNormalization", 18, nullptr, GroupNorm},
    {"GroupNormalization", 21, GroupsUp, GroupsDown},
    {"BatchNormalization", 14, BatchNormTraining, BatchNormTraining},
    {"BatchNormalization", 7, BatchNormTraining, BatchNormTestDown},
};

}  // namespace

std::span<const Adapter> NormalizationAdapters() { return kAdapters; }

}  // namespace sluice
