#include <map>

#include "graph/darknet/network.h"

// Darknet's activations, of activations.h in pjreddie's and AlexeyAB's versions.

namespace sluice::darknet {
namespace {

using Apply = ValueId (*)(GraphBuilder&, ValueId);

ValueId Times(GraphBuilder& b, ValueId x, float factor) {
  return b.Op("Mul", {x, b.Scalar("factor", factor)});
}
ValueId Plus(GraphBuilder& b, ValueId x, float term) { return b.Op("Add", {x, b.Scalar("term", term)}); }

ValueId Leaky(GraphBuilder& b, ValueId x, float alpha) { return b.Op("LeakyRelu", {x}, {{"alpha", alpha}}); }

// x * tanh(log(1 + exp(x)))
ValueId Mish(GraphBuilder& b, ValueId x) {
  if (b.opset() >= 18) return b.Op("Mish", {x});
  return b.Op("Mul", {x, b.Op("Tanh", {b.Op("Softplus", {x})})});
}

// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
ValueId Gelu(GraphBuilder& b, ValueId x) {
  if (b.opset() >= 20) return b.Op("Gelu", {x}, {{"approximate", std::string("tanh")}});
  const ValueId cube = b.Op("Mul", {b.Op("Mul", {x, x}), x});
  const ValueId inner = Times(b, b.Op("Add", {x, Times(b, cube, 0.044715f)}), 0.7978845608f);
  return b.Op("Mul", {Times(b, x, 0.5f), Plus(b, b.Op("Tanh", {inner}), 1.0f)});
}

// x > 0: x; x > -2: x^2 / 2 + x; else 0. As max(x, 0) + min(max(x, -2), 0) * (min(max(x, -2), 0) / 2 + 1).
ValueId HardMish(GraphBuilder& b, ValueId x) {
  const ValueId below = b.Clip(x, -2.0f, 0.0f);
  return b.Op("Add", {b.Op("Relu", {x}), b.Op("Mul", {below, Plus(b, Times(b, below, 0.5f), 1.0f)})});
}

// x in low..high, and beyond it with a slope: clip(x) + slope (x - clip(x)).
ValueId Bent(GraphBuilder& b, ValueId x, float low, float high, float slope) {
  const ValueId inside = b.Clip(x, low, high);
  return b.Op("Add", {inside, Times(b, b.Op("Sub", {x, inside}), slope)});
}

// x / 8 + 1 / 2 in -4..4, with slope 0.01 beyond: 0.125 of a bend of slope 0.08.
ValueId Plse(GraphBuilder& b, ValueId x) {
  return Plus(b, Times(b, Bent(b, x, -4.0f, 4.0f, 0.08f), 0.125f), 0.5f);
}

// Flat from every even to the next odd number, of slope 1 from there on.
ValueId Stair(GraphBuilder& b, ValueId x) {
  const ValueId below = b.Op("Floor", {x}), step = b.Op("Floor", {Times(b, x, 0.5f)});
  const ValueId odd = b.Op("Sub", {below, Times(b, step, 2.0f)});
  return b.Op("Add", {step, b.Op("Mul", {odd, b.Op("Sub", {x, below})})});
}

// Positive values over their sum along the channels.
ValueId NormalizeChannels(GraphBuilder& b, ValueId x) {
  const ValueId positive = b.Op("Relu", {x});
  return b.Op("Div", {positive, Plus(b, b.Reduce("ReduceSum", positive, {1}, true), 0.0001f)});
}

ValueId NormalizeChannelsSoftmax(GraphBuilder& b, ValueId x, bool subtract_max) {
  const ValueId shifted = subtract_max ? b.Op("Sub", {x, b.Reduce("ReduceMax", x, {1}, true)}) : x;
  const ValueId powers = b.Op("Exp", {shifted});
  return b.Op("Div", {powers, Plus(b, b.Reduce("ReduceSum", powers, {1}, true), 0.0001f)});
}

const std::map<std::string, Apply, std::less<>>& Activations() {
  static const std::map<std::string, Apply, std::less<>> activations = {
      {"linear", [](GraphBuilder&, ValueId x) { return x; }},
      {"leaky", [](GraphBuilder& b, ValueId x) { return Leaky(b, x, 0.1f); }},
      {"revleaky", [](GraphBuilder& b, ValueId x) { return Leaky(b, x, 0.1f); }},
      {"relie", [](GraphBuilder& b, ValueId x) { return Leaky(b, x, 0.01f); }},
      {"relu", [](GraphBuilder& b, ValueId x) { return b.Op("Relu", {x}); }},
      {"relu6", [](GraphBuilder& b, ValueId x) { return b.Clip(x, 0.0f, 6.0f); }},
      {"ramp",
       [](GraphBuilder& b, ValueId x) {
         return b.Op("Add", {b.Op("Relu", {x}), Times(b, x, 0.1f)});
       }},
      {"mish", Mish},
      {"hard_mish", HardMish},
      {"swish",
       [](GraphBuilder& b, ValueId x) {
         return b.Op("Mul", {x, b.Op("Sigmoid", {x})});
       }},
      {"logistic", [](GraphBuilder& b, ValueId x) { return b.Op("Sigmoid", {x}); }},
      {"loggy",
       [](GraphBuilder& b, ValueId x) { return Plus(b, Times(b, b.Op("Sigmoid", {x}), 2.0f), -1.0f); }},
      {"tanh", [](GraphBuilder& b, ValueId x) { return b.Op("Tanh", {x}); }},
      {"hardtan", [](GraphBuilder& b, ValueId x) { return b.Clip(x, -1.0f, 1.0f); }},
      {"lhtan", [](GraphBuilder& b, ValueId x) { return Bent(b, x, 0.0f, 1.0f, 0.001f); }},
      {"plse", Plse},
      {"stair", Stair},
      {"elu", [](GraphBuilder& b, ValueId x) { return b.Op("Elu", {x}); }},
      {"selu",
       [](GraphBuilder& b, ValueId x) {
         return b.Op("Selu", {x}, {{"alpha", 1.6732f}, {"gamma", 1.0507f}});
       }},
      {"gelu", Gelu},
      {"normalize_channels", NormalizeChannels},
      {"normalize_channels_softmax",
       [](GraphBuilder& b, ValueId x) { return NormalizeChannelsSoftmax(b, x, false); }},
      {"normalize_channels_softmax_maxval",
       [](GraphBuilder& b, ValueId x) { return NormalizeChannelsSoftmax(b, x, true); }},
  };
  return activations;
}

}  // namespace

ValueId Activate(Network& net, const Section& section, ValueId x, std::string_view fallback) {
  const std::string name = section.String("activation", fallback);
  const auto found = Activations().find(name);
  if (found == Activations().end()) {
    std::string known;
    for (const auto& [key, apply] : Activations()) known += (known.empty() ? "" : ", ") + key;
    section.Fail("activation", "unknown activation '" + name.substr(0, 40) + "', expected one of " + known);
  }
  return found->second(net.build, x);
}

}  // namespace sluice::darknet
