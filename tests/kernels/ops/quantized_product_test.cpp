#include "tests/kernels/ops/conv_reference.h"
#include "tests/kernels/run_unknown.h"

// MatMulInteger, QLinearMatMul, ConvInteger, QLinearConv: whole numbers, compared exactly.

namespace sluice::test {
namespace {

Tensor RandomBytes(DataType type, const Shape& shape, std::mt19937& engine) {
  Tensor tensor(type, shape);
  for (uint8_t& value : tensor.mutable_values<uint8_t>()) value = static_cast<uint8_t>(engine());
  return tensor;
}
Tensor RandomScale(const Shape& shape, std::mt19937& engine) {
  Tensor tensor(DataType::kFloat, shape);
  for (float& value : tensor.mutable_values<float>())
    value = 0.01f + static_cast<float>(engine() % 1000) * 1e-5f;
  return tensor;
}
int Byte(const Tensor& tensor, int64_t i) {
  if (tensor.empty()) return 0;
  const uint8_t bits = tensor.values<uint8_t>()[static_cast<size_t>(i)];
  return tensor.dtype() == DataType::kInt8 ? static_cast<int8_t>(bits) : bits;
}
DataType DrawType(std::mt19937& engine) { return engine() % 2 == 0 ? DataType::kInt8 : DataType::kUInt8; }

// round(sum * factor) + zero, clamped. Ties may go either way: the order of float multiplications is free.
void ExpectRequantized(const Tensor& got, int64_t i, double sum, double factor, int zero) {
  const double exact = sum * factor + zero;
  const double low = got.dtype() == DataType::kInt8 ? -128 : 0, high = low + 255;
  const double value = Byte(got, i), want = std::clamp(exact, low, high);
  ASSERT_LE(std::abs(value - want), 0.5 + 1e-5 * std::abs(exact - zero)) << "element " << i;
}

// Every candidate, with and without constant inputs.
void RunAll(const Node& node, const std::vector<Value>& inputs,
            const std::function<void(const Tensor&)>& check) {
  int ran = 0;
  for (size_t candidate = 0; candidate < node.op->kernels.size(); ++candidate) {
    SCOPED_TRACE("candidate " + std::to_string(candidate));
    std::vector<Value> got;
    try {
      got = EvaluateWith(candidate, node, inputs);
      check(got[0].tensor());
      ++ran;
      got = RunUnknown(candidate, node, inputs, got);
    } catch (const Declined&) {
      continue;
    }
    check(got[0].tensor());
  }
  EXPECT_GT(ran, 0);
}

TEST(QuantizedMatMul, RandomShapes) {
  std::mt19937 engine(17);
  for (int round = 0; round < 150 && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const int64_t m = Draw(engine, {1, 2, 15, 64}), k = Draw(engine, {1, 3, 64, 300}),
                  n = Draw(engine, {1, 5, 33, 130});
    const int64_t batch = Draw(engine, {1, 1, 3});
    const bool shared_b = engine() % 2 == 0, per_batch = batch > 1 && engine() % 3 == 0;
    const Tensor a = RandomBytes(DrawType(engine), batch > 1 ? Shape{batch, m, k} : Shape{m, k}, engine);
    const Tensor b =
        RandomBytes(DrawType(engine), batch > 1 && !shared_b ? Shape{batch, k, n} : Shape{k, n}, engine);
    const bool rows = engine() % 3 == 0, columns = engine() % 3 == 0;
    const Shape a_shape = !rows ? Shape{} : per_batch ? Shape{batch, m, 1} : Shape{m};
    const Shape b_shape = !columns ? Shape{} : per_batch && !shared_b ? Shape{batch, 1, n} : Shape{n};
    const Tensor a_zero = RandomBytes(a.dtype(), a_shape, engine),
                 b_zero = RandomBytes(b.dtype(), b_shape, engine);
    const Tensor a_scale = RandomScale(a_shape, engine), b_scale = RandomScale(b_shape, engine);
    const Tensor y_scale = F({}, {2.5f}), y_zero = RandomBytes(DrawType(engine), {}, engine);
    const auto a_param = [&](int64_t t, int64_t i) { return !rows ? 0 : per_batch ? t * m + i : i; };
    const auto b_param = [&](int64_t t, int64_t j) {
      return !columns ? 0 : b_shape.size() == 3 ? t * n + j : j;
    };
    const auto each = [&](auto fn) {
      for (int64_t t = 0; t < batch; ++t) {
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            int64_t sum = 0;
            for (int64_t p = 0; p < k; ++p) {
              sum += int64_t{Byte(a, (t * m + i) * k + p) - Byte(a_zero, a_param(t, i))} *
                     (Byte(b, ((shared_b ? 0 : t) * k + p) * n + j) - Byte(b_zero, b_param(t, j)));
            }
            fn(t, i, j, sum);
          }
        }
      }
    };
    OpCase integer{"MatMulInteger", 10, {}, {a, b, a_zero, b_zero}};
    RunAll(MakeNode(integer), integer.inputs, [&](const Tensor& got) {
      each([&](int64_t t, int64_t i, int64_t j, int64_t sum) {
        ASSERT_EQ(got.values<int32_t>()[static_cast<size_t>((t * m + i) * n + j)], sum);
      });
    });
    OpCase linear{"QLinearMatMul", 21, {}, {a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero}};
    RunAll(MakeNode(linear), linear.inputs, [&](const Tensor& got) {
      each([&](int64_t t, int64_t i, int64_t j, int64_t sum) {
        const double factor = double{a_scale.values<float>()[static_cast<size_t>(a_param(t, i))]} *
                              double{b_scale.values<float>()[static_cast<size_t>(b_param(t, j))]} / 2.5;
        ExpectRequantized(got, (t * m + i) * n + j, static_cast<double>(sum), factor, Byte(y_zero, 0));
      });
    });
  }
}

TEST(QuantizedMatMul, Forms) {
  const Tensor row = Make<uint8_t>({2}, {1, 2}), b = Make<int8_t>({2, 2}, {1, -2, 3, -4});
  ExpectTensor(RunOp({"MatMulInteger", 10, {}, {row, b}})[0], Make<int32_t>({2}, {7, -10}));
  ExpectTensor(RunOp({"MatMulInteger", 10, {}, {b, row}})[0], Make<int32_t>({2}, {-3, -5}));
  ExpectTensor(RunOp({"MatMulInteger", 10, {}, {Make<uint8_t>({1, 0}, {}), Make<uint8_t>({0, 2}, {})}})[0],
               Make<int32_t>({1, 2}, {0, 0}));
}

TEST(QuantizedMatMul, Misuse) {
  const Tensor a = Make<uint8_t>({1, 2}, {1, 2}), b = Make<int8_t>({2, 1}, {3, 4}), s = F({}, {1}),
               z = Make<uint8_t>({}, {0});
  ExpectRefused({"MatMulInteger", 10, {}, {a, a}}, "inner sizes are 2 and 1");
  ExpectRefused({"MatMulInteger", 10, {}, {F({1, 2}, {1, 2}), b}},
                "input 0 is float, expected int8 or uint8");
  ExpectRefused({"MatMulInteger", 10, {}, {a, b, Make<int8_t>({}, {1})}},
                "input 2 is int8, expected the type of input 0, uint8");
  ExpectRefused({"MatMulInteger", 10, {}, {a, b, Make<uint8_t>({3}, {1, 2, 3})}},
                "one for each row of input 0");
  ExpectRefused({"MatMulInteger", 10, {}, {a, b, {}, Make<int8_t>({3}, {1, 2, 3})}},
                "one for each column of input 1");
  ExpectRefused({"QLinearMatMul", 10, {}, {a, s, z, b, s, Make<int8_t>({}, {1}), F({2}, {1, 1}), z}},
                "input 6 is [2], expected one element");
  ExpectRefused({"QLinearMatMul", 10, {}, {a, s, z, b, s, Make<int8_t>({}, {1}), s, s}},
                "input 7 is float, expected int8 or uint8");
}

TEST(QuantizedConv, RandomShapes) {
  std::mt19937 engine(23);
  for (int round = 0; round < 120 && !testing::Test::HasFailure(); ++round) {
    ConvCase c = DrawConv(engine);
    SCOPED_TRACE("round " + std::to_string(round) + " " + c.Describe());
    const bool per_channel = engine() % 2 == 0;
    const Shape w_param = per_channel ? Shape{c.oc} : Shape{};
    const Tensor x = RandomBytes(DrawType(engine), c.src_shape(), engine),
                 w = RandomBytes(DrawType(engine), c.weights_shape(), engine);
    const Tensor x_zero = RandomBytes(x.dtype(), {}, engine),
                 w_zero = RandomBytes(w.dtype(), w_param, engine);
    const Tensor x_scale = RandomScale({}, engine), w_scale = RandomScale(w_param, engine);
    const Tensor y_scale = F({1}, {3.0f}), y_zero = RandomBytes(DrawType(engine), {1}, engine);
    Tensor bias;
    if (c.bias) {
      bias = Tensor(DataType::kInt32, {c.oc});
      for (int32_t& value : bias.mutable_values<int32_t>())
        value = static_cast<int32_t>(engine() % 20000) - 10000;
    }
    Tensor xd(DataType::kDouble, x.shape()), wd(DataType::kDouble, w.shape());
    for (int64_t i = 0; i < x.num_elements(); ++i)
      xd.mutable_values<double>()[static_cast<size_t>(i)] = Byte(x, i) - Byte(x_zero, 0);
    const int64_t per_oc = w.num_elements() / c.oc;
    for (int64_t i = 0; i < w.num_elements(); ++i) {
      wd.mutable_values<double>()[static_cast<size_t>(i)] =
          Byte(w, i) - Byte(w_zero, per_channel ? i / per_oc : 0);
    }
    ConvCase unbiased = c;
    unbiased.bias = false;
    const std::vector<double> sums = unbiased.Reference<double>(xd, wd, Tensor());
    const Shape shape = ConvCase::With({c.n, c.oc}, c.out());
    const int64_t out = NumElements(c.out());
    OpCase integer{"ConvInteger", 10, c.attrs(), {x, w, x_zero, w_zero}};
    RunAll(MakeNode(integer), integer.inputs, [&](const Tensor& got) {
      ASSERT_EQ(got.shape(), shape);
      for (size_t i = 0; i < sums.size(); ++i)
        ASSERT_EQ(got.values<int32_t>()[i], static_cast<int64_t>(sums[i]));
    });
    OpCase linear{
        "QLinearConv", 10, c.attrs(), {x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias}};
    RunAll(MakeNode(linear), linear.inputs, [&](const Tensor& got) {
      for (int64_t i = 0; i < got.num_elements(); ++i) {
        const int64_t oc = i / out % c.oc;
        const double factor = double{x_scale.values<float>()[0]} *
                              double{w_scale.values<float>()[static_cast<size_t>(per_channel ? oc : 0)]} /
                              3.0;
        const double sum =
            sums[static_cast<size_t>(i)] + (c.bias ? bias.values<int32_t>()[static_cast<size_t>(oc)] : 0);
        ExpectRequantized(got, i, sum, factor, Byte(y_zero, 0));
      }
    });
  }
}

TEST(QuantizedConv, Misuse) {
  std::mt19937 engine(1);
  const Tensor x = RandomBytes(DataType::kUInt8, {1, 2, 4, 4}, engine),
               w = RandomBytes(DataType::kInt8, {3, 2, 3, 3}, engine);
  const Tensor s = F({}, {1}), z = Make<uint8_t>({}, {0}), wz = Make<int8_t>({}, {0});
  ExpectRefused({"ConvInteger", 10, {}, {x, w, Make<uint8_t>({2}, {1, 2})}},
                "input 2 is [2], expected one element");
  ExpectRefused({"ConvInteger", 10, {}, {x, w, {}, Make<int8_t>({2}, {1, 2})}},
                "one for each of [3] channels");
  ExpectRefused({"QLinearConv", 10, {}, {x, s, z, w, s, wz, s, z, F({3}, {1, 2, 3})}},
                "input 8 is float, expected int32");
  ExpectRefused({"QLinearConv", 10, {}, {x, s, z, w, s, wz, s, z, Make<int32_t>({2}, {1, 2})}},
                "bias has 2 elements");
  ExpectRefused(
      {"QLinearConv", 10, {}, {x, s, z, RandomBytes(DataType::kInt8, {3, 1, 3, 3}, engine), s, wz, s, z}},
      "expected channels/group = 2");
}

TEST(QLinearMatMul, TakesFloat8Since21) {
  const auto cast = [](const Value& x, DataType type) {
    return RunOp({"Cast", 19, {{"to", static_cast<int64_t>(type)}}, {x}})[0];
  };
  for (DataType type : {DataType::kFloat8E4M3FN, DataType::kFloat8E5M2, DataType::kFloat8E4M3FNUZ}) {
    const Value a = cast(Random({3, 5}, 1), type), b = cast(Random({5, 4}, 2), type);
    const Value zero = cast(F({}, {0}), type);
    const Tensor a_scale = F({}, {0.5f}), b_scale = F({}, {2}), y_scale = F({}, {0.25f});
    const Value product =
        RunOp({"MatMul", 13, {}, {cast(a, DataType::kFloat), cast(b, DataType::kFloat)}})[0];
    const Value scaled = RunOp({"Mul", 14, {}, {product, F({}, {4})}})[0];
    const OpCase c{"QLinearMatMul", 21, {}, {a, a_scale, zero, b, b_scale, zero, y_scale, zero}};
    const Value got = RunOp(c)[0];
    ASSERT_EQ(got.tensor().dtype(), type);
    ExpectTensor(cast(got, DataType::kFloat), cast(cast(scaled, type), DataType::kFloat).tensor(), 0, 0);
    // A result in bytes.
    OpCase bytes = c;
    bytes.inputs[7] = Make<uint8_t>({}, {100});
    const Value quantized =
        RunOp({"QuantizeLinear", 21, {}, {product, y_scale, Make<uint8_t>({}, {100})}})[0];
    ExpectTensor(RunOp(bytes)[0], quantized.tensor());
    OpCase old = c;
    old.opset = 20;
    ExpectRefused(old, "expected int8 or uint8");
  }
}

}  // namespace
}  // namespace sluice::test
