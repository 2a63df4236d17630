#include "graph/darknet/linear.h"

// [rnn], [gru], [lstm], [crnn]. One run of the graph is one step in time: what a layer keeps comes in as one
// input of the graph, zeros at the beginning, and goes out as one output.

namespace sluice::darknet {
namespace {

// AlexeyAB's version, which writes this revision, stores gates in another order than pjreddie's.
constexpr int64_t kAlexeyFrom = 5;

// A new input of the graph, of the shape of `like`; its output is set once known.
ValueId AddState(Network& net, const std::string& what, const Layer& like) {
  Graph& graph = net.build.graph();
  SymShape shape = {net.batch, like.c};
  if (!like.flat) shape.insert(shape.end(), {Dim(like.h), Dim(like.w)});
  State state;
  state.name = net.build.prefix() + "_" + what;
  state.input = graph.AddValue(state.name, ValueType::Of(DataType::kFloat, shape));
  net.states.push_back(state);
  return state.input;
}

Layer FlatLayer(ValueId value, int64_t elems) { return {value, elems, 1, 1, true}; }

// state' = f(x W) + f(state S) [+ state], y = f(state' O), for the products W, S and O.
template <typename Product, typename Multiply>
ValueId Step(Network& net, const Section& section, const Product& input, const Product& self,
             const Product& output, ValueId x, ValueId state, bool shortcut, const Multiply& multiply) {
  GraphBuilder& b = net.build;
  const auto activated = [&](const Product& product, ValueId value) {
    return Activate(net, section, multiply(product, value), "logistic");
  };
  ValueId next = b.Op("Add", {activated(input, x), activated(self, state)});
  if (shortcut) next = b.Op("Add", {next, state});
  net.states.back().output = next;
  return activated(output, next);
}

Layer Rnn(Network& net, const Section& section) {
  const int64_t output = section.Int("output", 1, 1), hidden = section.Int("hidden", output, 1);
  const bool normalized = section.Int("batch_normalize", 0) != 0;
  const bool shortcut = section.Int("shortcut", 0) != 0;
  if (section.Int("logistic", 0) != 0) section.Fail("logistic", "not supported");
  const Dense w = TakeDense(net, net.current.elems(), hidden, normalized);
  const Dense s = TakeDense(net, hidden, hidden, normalized), o = TakeDense(net, hidden, output, normalized);
  const ValueId state = AddState(net, "state", FlatLayer(ValueId::kNone, hidden));
  const auto multiply = [&](const Dense& dense, ValueId x) { return Apply(net, dense, x); };
  return FlatLayer(Step(net, section, w, s, o, Flat(net.build, net.current), state, shortcut, multiply),
                   output);
}

Layer Crnn(Network& net, const Section& section) {
  WantPicture(section, net.current);
  // pjreddie's names, then AlexeyAB's.
  const int64_t output = section.Int("output_filters", section.Int("output", 1, 1), 1);
  const int64_t hidden = section.Int("hidden_filters", section.Int("hidden", 1, 1), 1);
  ConvolutionShape shape;
  shape.size = section.Int("size", 3, 1, kMostWindow);
  shape.groups = section.Int("groups", 1, 1, kMostWindow);
  shape.dilation = section.Int("dilation", 1, 1, kMostWindow);
  const bool named = section.Has("pad") || section.Has("padding");
  const int64_t padding = section.Int("padding", 0, 0, kMostWindow);
  shape.pad = (!named || section.Int("pad", 0) != 0 ? shape.size / 2 : padding) * shape.dilation;
  if (section.Int("stride", 1, 1) != 1) section.Fail("stride", "expected 1, so that states keep their size");
  if (section.Int("xnor", 0) != 0) section.Fail("xnor", "not supported");
  const bool normalized = section.Int("batch_normalize", 0) != 0;
  const bool shortcut = section.Int("shortcut", 0) != 0;
  shape.filters = hidden;
  const Convolution w = TakeConvolution(net, section, net.current.c, shape, normalized);
  const Convolution s = TakeConvolution(net, section, hidden, shape, normalized);
  shape.filters = output;
  const Convolution o = TakeConvolution(net, section, hidden, shape, normalized);
  Layer y = net.current;
  y.c = hidden;
  if (shape.dilation * (shape.size - 1) != 2 * shape.pad)
    section.Fail("size", "expected padding that keeps height and width");
  const ValueId state = AddState(net, "state", y);
  const auto multiply = [&](const Convolution& convolution, ValueId x) {
    Layer layer = net.current;
    layer.value = x;
    return Apply(net, section, convolution, layer).value;
  };
  y.value = Step(net, section, w, s, o, net.current.value, state, shortcut, multiply);
  y.c = output;
  return y;
}

// z = sigmoid(x Wz + h Uz), r likewise; h' = z h + (1 - z) f(x Wh + (r h) Uh), f the sigmoid, or tanh.
Layer Gru(Network& net, const Section& section) {
  const int64_t output = section.Int("output", 1, 1), inputs = net.current.elems();
  const bool normalized = section.Int("batch_normalize", 0) != 0, tanh = section.Int("tanh", 0) != 0;
  std::vector<Dense> w, u;
  const auto take = [&](std::vector<Dense>& gates, int64_t rows) {
    for (int i = 0; i < 3; ++i) gates.push_back(TakeDense(net, rows, output, normalized));
  };
  if (net.weights.revision() >= kAlexeyFrom) take(w, inputs);
  take(u, output);
  if (w.empty()) take(w, inputs);
  GraphBuilder& b = net.build;
  const ValueId x = Flat(b, net.current), h = AddState(net, "state", FlatLayer(ValueId::kNone, output));
  const auto gate = [&](size_t i, ValueId state, const char* function) {
    return b.Op(function, {b.Op("Add", {Apply(net, w[i], x), Apply(net, u[i], state)})});
  };
  const ValueId z = gate(0, h, "Sigmoid"), r = gate(1, h, "Sigmoid");
  const ValueId fresh = gate(2, b.Op("Mul", {r, h}), tanh ? "Tanh" : "Sigmoid");
  // z h + (1 - z) fresh
  const ValueId next = b.Op("Add", {fresh, b.Op("Mul", {z, b.Op("Sub", {h, fresh})})});
  net.states.back().output = next;
  return FlatLayer(next, output);
}

// c' = f c + i g, h' = o tanh(c'), with f, i, o = sigmoid and g = tanh of x U + h W.
Layer Lstm(Network& net, const Section& section) {
  const int64_t output = section.Int("output", 1, 1), inputs = net.current.elems();
  const bool normalized = section.Int("batch_normalize", 0) != 0;
  enum Gate { kF, kI, kG, kO };
  const std::vector<Gate> order = net.weights.revision() >= kAlexeyFrom ? std::vector<Gate>{kF, kI, kG, kO}
                                                                        : std::vector<Gate>{kI, kF, kO, kG};
  std::map<Gate, Dense> w, u;
  for (Gate gate : order) w[gate] = TakeDense(net, output, output, normalized);
  for (Gate gate : order) u[gate] = TakeDense(net, inputs, output, normalized);
  GraphBuilder& b = net.build;
  const ValueId h = AddState(net, "state", FlatLayer(ValueId::kNone, output));
  const ValueId c = AddState(net, "cell", FlatLayer(ValueId::kNone, output)), x = Flat(b, net.current);
  const auto value = [&](Gate gate) {
    const ValueId sum = b.Op("Add", {Apply(net, w.at(gate), h), Apply(net, u.at(gate), x)});
    return b.Op(gate == kG ? "Tanh" : "Sigmoid", {sum});
  };
  const ValueId kept = b.Op("Mul", {value(kF), c}), added = b.Op("Mul", {value(kI), value(kG)});
  const ValueId cell = b.Op("Add", {kept, added});
  const ValueId next = b.Op("Mul", {value(kO), b.Op("Tanh", {cell})});
  net.states[net.states.size() - 2].output = next;
  net.states.back().output = cell;
  return FlatLayer(next, output);
}

const RegisterSection kRnn({"rnn"}, Rnn);
const RegisterSection kCrnn({"crnn"}, Crnn);
const RegisterSection kGru({"gru"}, Gru);
const RegisterSection kLstm({"lstm"}, Lstm);

}  // namespace
}  // namespace sluice::darknet
