#include "tests/kernels/ops/conv_reference.h"
#include "tests/kernels/run_unknown.h"

// RNN, GRU and LSTM against the standard's equations, one element at a time in double.

namespace sluice::test {
namespace {

struct Function {
  std::string name;
  double alpha, beta;
  bool takes_alpha, takes_beta;
};

const std::vector<Function> kFunctions = {
    {"Relu", 0, 0, false, false},        {"Tanh", 0, 0, false, false},
    {"Sigmoid", 0, 0, false, false},     {"Affine", 1, 0, true, true},
    {"LeakyRelu", 0.01, 0, true, false}, {"ThresholdedRelu", 1, 0, true, false},
    {"ScaledTanh", 1, 1, true, true},    {"HardSigmoid", 0.2, 0.5, true, true},
    {"Elu", 1, 0, true, false},          {"Softsign", 0, 0, false, false},
    {"Softplus", 0, 0, false, false}};

double Apply(const Function& f, double x) {
  if (f.name == "Relu") return std::max(0.0, x);
  if (f.name == "Tanh") return std::tanh(x);
  if (f.name == "Sigmoid") return 1 / (1 + std::exp(-x));
  if (f.name == "Affine") return f.alpha * x + f.beta;
  if (f.name == "LeakyRelu") return x >= 0 ? x : f.alpha * x;
  if (f.name == "ThresholdedRelu") return x >= f.alpha ? x : 0;
  if (f.name == "ScaledTanh") return f.alpha * std::tanh(f.beta * x);
  if (f.name == "HardSigmoid") return std::min(std::max(f.alpha * x + f.beta, 0.0), 1.0);
  if (f.name == "Elu") return x >= 0 ? x : f.alpha * (std::exp(x) - 1);
  if (f.name == "Softsign") return x / (1 + std::abs(x));
  return std::log(1 + std::exp(x));
}

struct Case {
  std::string op;
  int64_t dirs = 1, seq = 1, batch = 1, in = 1, hidden = 1;
  bool reverse = false, batch_first = false, linear_before_reset = false, input_forget = false;
  double clip = 0;
  std::vector<Function> functions;  // of all directions
  Tensor x, w, r, b, lens, h, c, p;
  std::vector<double> y, y_h, y_c;  // results

  int64_t gates() const { return op == "RNN" ? 1 : op == "GRU" ? 3 : 4; }
  size_t per_direction() const { return op == "RNN" ? 1 : op == "GRU" ? 2 : 3; }
  static double At(const Tensor& t, int64_t i) {
    return t.empty() ? 0 : double{t.values<float>()[static_cast<size_t>(i)]};
  }
  int64_t State(int64_t d, int64_t row, int64_t j) const {
    return (batch_first ? row * dirs + d : d * batch + row) * hidden + j;
  }

  void Compute() {
    y.assign(static_cast<size_t>(seq * dirs * batch * hidden), 0);
    y_h.assign(static_cast<size_t>(dirs * batch * hidden), 0);
    y_c = y_h;
    for (int64_t d = 0; d < dirs; ++d) {
      for (int64_t row = 0; row < batch; ++row) ComputeRow(d, row);
    }
  }

  void ComputeRow(int64_t d, int64_t row) {
    const int64_t g = gates(), length = lens.empty() ? seq : lens.values<int32_t>()[static_cast<size_t>(row)];
    std::vector<double> prev, cell;
    for (int64_t j = 0; j < hidden; ++j) {
      prev.push_back(At(h, State(d, row, j)));
      cell.push_back(At(c, State(d, row, j)));
    }
    const auto f = [&](size_t i, double v) {
      if (clip > 0) v = std::min(std::max(v, -clip), clip);
      return Apply(functions[static_cast<size_t>(d) * per_direction() + i], v);
    };
    for (int64_t step = 0; step < length; ++step) {
      const int64_t t = reverse || d == 1 ? length - 1 - step : step;
      const auto input = [&](int64_t gate, int64_t j) {
        double sum = 0;
        for (int64_t k = 0; k < in; ++k) {
          sum += At(x, (batch_first ? row * seq + t : t * batch + row) * in + k) *
                 At(w, ((d * g + gate) * hidden + j) * in + k);
        }
        return sum + At(b, d * 2 * g * hidden + gate * hidden + j);
      };
      const auto recurrent = [&](const std::vector<double>& from, int64_t gate, int64_t j) {
        double sum = 0;
        for (int64_t k = 0; k < hidden; ++k)
          sum += from[static_cast<size_t>(k)] * At(r, ((d * g + gate) * hidden + j) * hidden + k);
        return sum + At(b, d * 2 * g * hidden + (g + gate) * hidden + j);
      };
      const auto peephole = [&](int64_t gate, int64_t j) { return At(p, (d * 3 + gate) * hidden + j); };
      std::vector<double> next(prev.size()), reset(prev.size());
      if (op == "GRU") {
        for (int64_t j = 0; j < hidden; ++j) {
          reset[static_cast<size_t>(j)] = f(0, input(1, j) + recurrent(prev, 1, j));
        }
        std::vector<double> scaled;
        for (size_t j = 0; j < prev.size(); ++j) scaled.push_back(reset[j] * prev[j]);
        for (int64_t j = 0; j < hidden; ++j) {
          const size_t i = static_cast<size_t>(j);
          const double update = f(0, input(0, j) + recurrent(prev, 0, j));
          const double candidate = linear_before_reset ? f(1, input(2, j) + reset[i] * recurrent(prev, 2, j))
                                                       : f(1, input(2, j) + recurrent(scaled, 2, j));
          next[i] = (1 - update) * candidate + update * prev[i];
        }
      } else if (op == "RNN") {
        for (int64_t j = 0; j < hidden; ++j)
          next[static_cast<size_t>(j)] = f(0, input(0, j) + recurrent(prev, 0, j));
      } else {
        for (int64_t j = 0; j < hidden; ++j) {
          const size_t n = static_cast<size_t>(j);
          const double i = f(0, input(0, j) + recurrent(prev, 0, j) + peephole(0, j) * cell[n]);
          const double forget =
              input_forget ? 1 - i : f(0, input(2, j) + recurrent(prev, 2, j) + peephole(2, j) * cell[n]);
          cell[n] = forget * cell[n] + i * f(1, input(3, j) + recurrent(prev, 3, j));
          const double o = f(0, input(1, j) + recurrent(prev, 1, j) + peephole(1, j) * cell[n]);
          next[n] = o * f(2, cell[n]);
        }
      }
      prev = next;
      for (int64_t j = 0; j < hidden; ++j) {
        const int64_t at = batch_first ? (row * seq + t) * dirs + d : (t * dirs + d) * batch + row;
        y[static_cast<size_t>(at * hidden + j)] = prev[static_cast<size_t>(j)];
      }
    }
    for (int64_t j = 0; j < hidden; ++j) {
      y_h[static_cast<size_t>(State(d, row, j))] = prev[static_cast<size_t>(j)];
      y_c[static_cast<size_t>(State(d, row, j))] = cell[static_cast<size_t>(j)];
    }
  }
};

Case DrawCase(const std::string& op, std::mt19937& engine, Attrs& attrs) {
  Case c;
  c.op = op;
  const auto flip = [&] { return engine() % 2 == 0; };
  c.dirs = flip() ? 2 : 1;
  c.reverse = c.dirs == 1 && flip();
  if (c.dirs == 2 || c.reverse) attrs["direction"] = std::string(c.dirs == 2 ? "bidirectional" : "reverse");
  c.seq = Draw(engine, {1, 2, 5, 40});
  c.batch = Draw(engine, {1, 2, 3, 9, 30});
  c.in = Draw(engine, {1, 3, 8, 33});
  c.hidden = Draw(engine, {1, 2, 7, 16, 35});
  c.batch_first = flip();
  if (c.batch_first) attrs["layout"] = int64_t{1};
  if (flip()) attrs["hidden_size"] = c.hidden;
  if (engine() % 3 == 0) {
    c.clip = 0.5;
    attrs["clip"] = 0.5f;
  }
  if (op == "GRU" && flip()) attrs["linear_before_reset"] = int64_t{c.linear_before_reset = true};
  if (op == "LSTM" && engine() % 3 == 0) attrs["input_forget"] = int64_t{c.input_forget = true};
  const size_t count = static_cast<size_t>(c.dirs) * c.per_direction();
  if (flip()) {
    // Those without a bound let rounding errors grow from step to step.
    c.seq = std::min<int64_t>(c.seq, 5);
    std::vector<std::string> names;
    std::vector<float> alphas, betas;
    for (size_t i = 0; i < count; ++i) {
      Function f = kFunctions[engine() % kFunctions.size()];
      names.push_back(f.name);
      if (f.takes_alpha)
        alphas.push_back(static_cast<float>(f.alpha = 0.25 + 0.125 * static_cast<double>(engine() % 4)));
      if (f.takes_beta)
        betas.push_back(static_cast<float>(f.beta = 0.25 + 0.125 * static_cast<double>(engine() % 4)));
      c.functions.push_back(f);
    }
    c.clip = 0.5;
    attrs["clip"] = 0.5f;
    attrs["activations"] = names;
    if (!alphas.empty()) attrs["activation_alpha"] = alphas;
    if (!betas.empty()) attrs["activation_beta"] = betas;
  } else {
    for (int64_t d = 0; d < c.dirs; ++d) {
      if (op != "RNN") c.functions.push_back(kFunctions[2]);
      for (size_t i = op == "RNN" ? 0 : 1; i < c.per_direction(); ++i) c.functions.push_back(kFunctions[1]);
    }
  }
  const uint32_t seed = static_cast<uint32_t>(engine());
  const int64_t gates = c.gates() * c.hidden;
  const Shape state = c.batch_first ? Shape{c.batch, c.dirs, c.hidden} : Shape{c.dirs, c.batch, c.hidden};
  c.x = Random(c.batch_first ? Shape{c.batch, c.seq, c.in} : Shape{c.seq, c.batch, c.in}, seed);
  c.w = Random({c.dirs, gates, c.in}, seed + 1, 0.3f);
  c.r = Random({c.dirs, gates, c.hidden}, seed + 2, 0.15f);
  if (flip()) c.b = Random({c.dirs, 2 * gates}, seed + 3, 0.5f);
  if (flip()) {
    c.lens = Tensor(DataType::kInt32, {c.batch});
    for (int32_t& length : c.lens.mutable_values<int32_t>())
      length = static_cast<int32_t>(engine() % static_cast<unsigned>(c.seq + 1));
  }
  if (flip()) c.h = Random(state, seed + 4);
  if (op == "LSTM" && flip()) c.c = Random(state, seed + 5);
  if (op == "LSTM" && flip()) c.p = Random({c.dirs, 3 * c.hidden}, seed + 6, 0.3f);
  return c;
}

void CheckRandom(const std::string& op) {
  std::mt19937 engine(5);
  for (int round = 0; round < 120 && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE(op + " round " + std::to_string(round));
    Attrs attrs;
    Case c = DrawCase(op, engine, attrs);
    c.Compute();
    OpCase node_case{op, 14, attrs, {c.x, c.w, c.r, c.b, c.lens, c.h}, 2};
    if (op == "LSTM") {
      node_case.inputs.push_back(c.c);
      node_case.inputs.push_back(c.p);
      node_case.num_outputs = 3;
    }
    const Node node = MakeNode(node_case);
    const std::vector<Value> got = Evaluate(node, node_case.inputs);
    const Shape y_shape =
        c.batch_first ? Shape{c.batch, c.seq, c.dirs, c.hidden} : Shape{c.seq, c.dirs, c.batch, c.hidden};
    const Shape state = c.batch_first ? Shape{c.batch, c.dirs, c.hidden} : Shape{c.dirs, c.batch, c.hidden};
    // Errors of a step are carried on by the steps that follow.
    ExpectTensor(got[0], FloatTensor(y_shape, c.y), 1e-4);
    ExpectTensor(got[1], FloatTensor(state, c.y_h), 1e-4);
    if (op == "LSTM") ExpectTensor(got[2], FloatTensor(state, c.y_c), 1e-4);
    const std::vector<Value> unknown = RunUnknown(0, node, node_case.inputs, got);
    for (size_t i = 0; i < got.size(); ++i) ExpectTensor(unknown[i], got[i].tensor(), 0, 0);
  }
}

TEST(Recurrent, RnnMatchesTheEquations) { CheckRandom("RNN"); }
TEST(Recurrent, GruMatchesTheEquations) { CheckRandom("GRU"); }
TEST(Recurrent, LstmMatchesTheEquations) { CheckRandom("LSTM"); }

TEST(Recurrent, OtherTypes) {
  for (const char* op : {"RNN", "GRU", "LSTM"}) {
    const int64_t gates = op == std::string("RNN") ? 1 : op == std::string("GRU") ? 3 : 4;
    const Tensor x = Random({4, 2, 5}, 1), w = Random({1, gates * 6, 5}, 2, 0.3f),
                 r = Random({1, gates * 6, 6}, 3, 0.3f);
    const Tensor want = RunOp({op, 14, {}, {x, w, r}})[0].tensor();
    const auto check = [&](auto tag, double tolerance) {
      using T = typename decltype(tag)::type;
      const auto cast = [](const Tensor& from) {
        Tensor to(kDataType<T>, from.shape());
        for (size_t i = 0; i < from.values<float>().size(); ++i)
          to.mutable_values<T>()[i] = static_cast<T>(from.values<float>()[i]);
        return to;
      };
      const Tensor got = RunOp({op, 22, {}, {cast(x), cast(w), cast(r)}})[0].tensor();
      ASSERT_EQ(got.shape(), want.shape());
      for (size_t i = 0; i < want.values<float>().size(); ++i) {
        EXPECT_NEAR(static_cast<double>(got.values<T>()[i]), double{want.values<float>()[i]}, tolerance);
      }
    };
    check(TypeTag<double>(), 1e-6);
    check(TypeTag<Half>(), 4e-3);
    check(TypeTag<BFloat16>(), 4e-2);
  }
}

TEST(Recurrent, EmptyTensors) {
  const Tensor w = Random({1, 8, 3}, 1), r = Random({1, 8, 2}, 2);
  auto out = RunOp({"LSTM", 14, {}, {Random({0, 2, 3}, 1), w, r, {}, {}, F({1, 2, 2}, {1, 2, 3, 4})}, 3});
  EXPECT_EQ(out[0].tensor().shape(), (Shape{0, 1, 2, 2}));
  ExpectTensor(out[1], F({1, 2, 2}, {1, 2, 3, 4}));
  out = RunOp({"LSTM", 14, {}, {Random({4, 0, 3}, 1), w, r}, 3});
  EXPECT_EQ(out[0].tensor().shape(), (Shape{4, 1, 0, 2}));
  EXPECT_EQ(RunOp({"RNN", 14, {}, {Random({4, 1, 0}, 1), Random({1, 2, 0}, 1), Random({1, 2, 2}, 1)}})[0]
                .tensor()
                .shape(),
            (Shape{4, 1, 1, 2}));
  EXPECT_EQ(RunOp({"RNN", 14, {}, {Random({4, 1, 2}, 1), Random({1, 0, 2}, 1), Random({1, 0, 0}, 1)}})[0]
                .tensor()
                .shape(),
            (Shape{4, 1, 1, 0}));
}

TEST(Recurrent, Misuse) {
  const Tensor x = Random({3, 2, 4}, 1), w = Random({1, 5, 4}, 1), r = Random({1, 5, 5}, 1);
  ExpectRefused({"RNN", 14, {{"direction", std::string("up")}}, {x, w, r}}, "direction is 'up'");
  ExpectRefused({"RNN", 14, {{"hidden_size", int64_t{6}}}, {x, w, r}}, "hidden_size is 6");
  ExpectRefused({"GRU", 14, {}, {x, w, r}}, "input 1 is [1, 5, 4], expected [1, 15, 4]");
  ExpectRefused({"RNN", 14, {{"direction", std::string("bidirectional")}}, {x, w, r}}, "expected [2, 5, 4]");
  ExpectRefused({"RNN", 14, {{"activations", std::vector<std::string>{"Sine"}}}, {x, w, r}}, "'Sine'");
  ExpectRefused({"LSTM",
                 14,
                 {{"activations", std::vector<std::string>{"Tanh"}}},
                 {x, Random({1, 20, 4}, 1), Random({1, 20, 5}, 1)}},
                "activations has 1 names, expected 3");
  ExpectRefused({"RNN", 14, {}, {x, w, r, {}, Make<int32_t>({2}, {4, 1})}},
                "sequence_lens has 4, expected 0 to 3");
  ExpectRefused({"RNN", 14, {}, {x, w, r, {}, I({2}, {1, 1})}}, "input 4 is int64, expected int32");
  ExpectRefused({"RNN", 14, {}, {x, w, r, {}, {}, Random({1, 3, 5}, 1)}},
                "input 5 is [1, 3, 5], expected [1, 2, 5]");
}

}  // namespace
}  // namespace sluice::test
