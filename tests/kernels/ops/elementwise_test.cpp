#include <cmath>
#include <functional>
#include <limits>

#include "kernels/narrow.h"
#include "tests/kernels/op_test_util.h"

// Functions of one, two and more numbers, Clip, Where, Cast and Dropout against scalar references.

namespace sluice::test {
namespace {

struct Function {
  std::string op;
  int opset;
  Attrs attrs;
  std::function<double(double)> reference;
};

double Logistic(double x) { return 1 / (1 + std::exp(-x)); }
double Softplus(double x) { return std::log1p(std::exp(x)); }

// Random numbers and those at which functions go wrong.
Tensor Arguments(uint32_t seed) {
  Tensor x = Random({3, 5, 7}, seed, 3.0f);
  auto values = x.mutable_values<float>();
  const float special[] = {0.0f,
                           -0.0f,
                           1.0f,
                           -1.0f,
                           0.5f,
                           -0.5f,
                           2.5f,
                           1e-30f,
                           -1e-30f,
                           80.0f,
                           -80.0f,
                           std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(),
                           std::numeric_limits<float>::quiet_NaN()};
  std::copy(std::begin(special), std::end(special), values.begin());
  return x;
}

TEST(Elementwise, FunctionsOfOneNumberAgreeWithTheirDefinitions) {
  const auto leaky = [](double alpha) { return [alpha](double x) { return x >= 0 ? x : alpha * x; }; };
  const Function functions[] = {
      {"Abs", 13, {}, [](double x) { return std::abs(x); }},
      {"Neg", 13, {}, [](double x) { return -x; }},
      {"Sign", 13, {}, [](double x) { return std::isnan(x) ? x : (x > 0) - (x < 0); }},
      {"Ceil", 13, {}, [](double x) { return std::ceil(x); }},
      {"Floor", 13, {}, [](double x) { return std::floor(x); }},
      {"Round", 11, {}, [](double x) { return std::nearbyint(x); }},
      {"Sqrt", 13, {}, [](double x) { return std::sqrt(x); }},
      {"Reciprocal", 13, {}, [](double x) { return 1 / x; }},
      {"Exp", 13, {}, [](double x) { return std::exp(x); }},
      {"Log", 13, {}, [](double x) { return std::log(x); }},
      {"Erf", 13, {}, [](double x) { return std::erf(x); }},
      {"Sin", 7, {}, [](double x) { return std::sin(x); }},
      {"Cos", 7, {}, [](double x) { return std::cos(x); }},
      {"Tan", 7, {}, [](double x) { return std::tan(x); }},
      {"Asin", 7, {}, [](double x) { return std::asin(x); }},
      {"Acos", 7, {}, [](double x) { return std::acos(x); }},
      {"Atan", 7, {}, [](double x) { return std::atan(x); }},
      {"Tanh", 13, {}, [](double x) { return std::tanh(x); }},
      {"Asinh", 9, {}, [](double x) { return std::asinh(x); }},
      {"Acosh", 9, {}, [](double x) { return std::acosh(x); }},
      {"Atanh", 9, {}, [](double x) { return std::atanh(x); }},
      {"LeakyRelu", 1, {}, leaky(0.01f)},
      {"LeakyRelu", 6, {{"alpha", 0.1f}}, leaky(0.1f)},
      {"LeakyRelu", 16, {{"alpha", -1.5f}}, leaky(-1.5f)},
      {"Relu", 14, {}, [](double x) { return x < 0 ? 0 : x; }},
      {"Elu", 6, {{"alpha", 0.7f}}, [](double x) { return x < 0 ? 0.7f * std::expm1(x) : x; }},
      {"Celu",
       12,
       {{"alpha", 2.0f}},
       [](double x) { return std::isnan(x) ? 0 : std::max(0.0, x) + std::min(0.0, 2 * std::expm1(x / 2)); }},
      {"Selu",
       6,
       {},
       [](double x) { return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x)); }},
      {"ThresholdedRelu", 10, {}, [](double x) { return x > 1 ? x : 0; }},
      {"Softplus", 1, {}, [](double x) { return x > 50 ? x : Softplus(x); }},
      {"Softsign", 1, {}, [](double x) { return x / (1 + std::abs(x)); }},
      {"Sigmoid", 13, {}, Logistic},
      {"HardSigmoid", 6, {}, [](double x) { return std::max(0.0, std::min(1.0, 0.2f * x + 0.5)); }},
      {"HardSwish", 14, {}, [](double x) { return x * std::max(0.0, std::min(1.0, x / 6 + 0.5)); }},
      {"Swish", 24, {}, [](double x) { return x * Logistic(x); }},
      {"Mish", 18, {}, [](double x) { return x * std::tanh(x > 50 ? x : Softplus(x)); }},
      {"Gelu", 20, {}, [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }},
      {"Shrink",
       9,
       {{"bias", 0.25f}, {"lambd", 1.0f}},
       [](double x) { return x < -1  ? x + 0.25
                             : x > 1 ? x - 0.25
                                     : 0; }},
  };
  for (const Function& function : functions) {
    SCOPED_TRACE(function.op + " of opset " + std::to_string(function.opset));
    const Tensor x = Arguments(7);
    const Tensor y = RunOp({function.op, function.opset, function.attrs, {x}})[0].tensor();
    ASSERT_EQ(y.shape(), x.shape());
    for (size_t i = 0; i < x.values<float>().size(); ++i) {
      const double in = x.values<float>()[i], got = y.values<float>()[i];
      const double want = static_cast<float>(function.reference(in));
      if ((std::isnan(got) && std::isnan(want)) || got == want) continue;
      // Activations of infinities are what their definition gives in exact arithmetic or NaN.
      if (std::isinf(in) || std::isnan(in)) continue;
      EXPECT_LE(std::abs(got - want), 1e-6 + 4e-6 * std::abs(want))
          << "of " << in << ": " << got << " instead of " << want;
    }
  }
}

TEST(Elementwise, LeakyReluKeepsNaNAndInfinity) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  ExpectTensor(RunOp({"LeakyRelu", 16, {{"alpha", 0.5f}}, {F({4}, {inf, -inf, nan, -2})}})[0],
               F({4}, {inf, -inf, nan, -1}));
}

// The plain way: an index for every axis.
std::vector<float> BroadcastBy(const Tensor& a, const Tensor& b, const Shape& out,
                               double (*fn)(double, double)) {
  const auto at = [&](const Tensor& t, int64_t position) {
    int64_t index = 0, stride = 1;
    for (size_t axis = out.size(); axis-- > 0;) {
      const int64_t i = position % out[axis];
      position /= out[axis];
      const size_t lead = out.size() - t.shape().size();
      if (axis < lead) continue;
      const int64_t size = t.shape()[axis - lead];
      index += (size == 1 ? 0 : i) * stride;
      stride *= size;
    }
    return static_cast<double>(t.values<float>()[static_cast<size_t>(index)]);
  };
  std::vector<float> result;
  for (int64_t i = 0; i < NumElements(out); ++i) result.push_back(static_cast<float>(fn(at(a, i), at(b, i))));
  return result;
}

TEST(Elementwise, BroadcastsLikeNumpy) {
  std::mt19937 random(3);
  const std::pair<const char*, double (*)(double, double)> functions[] = {
      {"Add", [](double a, double b) { return a + b; }},
      {"Sub", [](double a, double b) { return a - b; }},
      {"Mul", [](double a, double b) { return a * b; }},
      {"Div", [](double a, double b) { return a / b; }},
      {"Max", [](double a, double b) { return std::max(a, b); }},
      {"Min", [](double a, double b) { return std::min(a, b); }}};
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Shape out, a, b;
    for (size_t rank = random() % 5; rank-- > 0;)
      out.push_back(static_cast<int64_t>(random() % 8 == 0 ? 0 : 1 + random() % 9));
    const auto shrink = [&] {
      Shape shape(out.begin() + static_cast<std::ptrdiff_t>(out.empty() ? 0 : random() % (out.size() + 1)),
                  out.end());
      for (int64_t& size : shape) size = random() % 3 == 0 ? 1 : size;
      return shape;
    };
    a = random() % 2 ? out : shrink();
    b = a == out ? shrink() : out;
    const Tensor x = Random(a, random()), y = Random(b, random());
    const auto& [name, fn] = functions[random() % std::size(functions)];
    ExpectTensor(RunOp({name, 13, {}, {x, y}})[0], Tensor::From<float>(out, BroadcastBy(x, y, out, fn)));
  }
}

TEST(Elementwise, OldBroadcastLiesAlongAnAxis) {
  const Tensor x = F({2, 3, 1}, {1, 2, 3, 4, 5, 6});
  const Attrs at_one = {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}};
  ExpectTensor(RunOp({"Add", 6, at_one, {x, F({3}, {10, 20, 30})}})[0],
               F({2, 3, 1}, {11, 22, 33, 14, 25, 36}));
  ExpectTensor(RunOp({"Pow", 1, {{"broadcast", int64_t{1}}}, {F({2}, {2, 3}), F({}, {2})}})[0],
               F({2}, {4, 9}));
  ExpectTensor(RunOp({"Mul", 1, {{"broadcast", int64_t{1}}}, {x, F({}, {2})}})[0],
               F({2, 3, 1}, {2, 4, 6, 8, 10, 12}));
  ExpectRefused({"Add", 6, {{"broadcast", int64_t{1}}, {"axis", int64_t{2}}}, {x, F({3, 1}, {1, 2, 3})}},
                "do not lie along");
}

TEST(Elementwise, RefusesWhatDoesNotFit) {
  ExpectRefused({"Add", 13, {}, {F({2}, {1, 2}), F({3}, {1, 2, 3})}}, "broadcast");
  ExpectRefused({"Add", 13, {}, {F({2}, {1, 2}), I({2}, {1, 2})}}, "input 1 is int64, expected float");
  ExpectRefused({"PRelu", 9, {}, {F({2}, {1, 2}), F({3, 2}, {1, 2, 3, 4, 5, 6})}}, "does not broadcast");
  ExpectRefused({"Mod", 13, {}, {F({1}, {1}), F({1}, {1})}}, "fmod");
  ExpectRefused({"Clip", 13, {}, {F({1}, {1}), F({2}, {0, 1})}}, "expected a scalar");
}

TEST(Elementwise, IntegersWrapAndNeverTrap) {
  ExpectTensor(RunOp({"Div", 14, {}, {I({4}, {7, INT64_MIN, -7, 5}), I({4}, {2, -1, 2, 0})}})[0],
               I({4}, {3, INT64_MIN, -3, 0}));
  ExpectTensor(RunOp({"Mod", 13, {}, {I({5}, {7, -7, 7, -7, 3}), I({5}, {3, 3, -3, -3, 0})}})[0],
               I({5}, {1, 2, -2, -1, 0}));
  ExpectTensor(RunOp({"Mod", 13, {{"fmod", int64_t{1}}}, {I({2}, {-7, 7}), I({2}, {3, -3})}})[0],
               I({2}, {-1, 1}));
  ExpectTensor(RunOp({"Add", 14, {}, {I({1}, {INT64_MAX}), I({1}, {1})}})[0], I({1}, {INT64_MIN}));
  ExpectTensor(RunOp({"Neg", 13, {}, {I({1}, {INT64_MIN})}})[0], I({1}, {INT64_MIN}));
  ExpectTensor(RunOp({"Pow", 15, {}, {I({4}, {2, -1, 3, 0}), I({4}, {10, -3, -1, 0})}})[0],
               I({4}, {1024, -1, 0, 1}));
}

TEST(Elementwise, MaxAndMinLetNaNWin) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  ExpectTensor(RunOp({"Max", 13, {}, {F({2}, {nan, 1}), F({2}, {1, nan}), F({1}, {3})}})[0],
               F({2}, {nan, nan}));
  ExpectTensor(RunOp({"Mean", 13, {}, {F({2}, {1, 2}), F({1}, {3}), F({2}, {5, 7})}})[0], F({2}, {3, 4}));
}

TEST(Elementwise, ClipTakesLimitsAsItsVersionHasThem) {
  const Tensor x = F({3}, {-2, 0.5, 7});
  ExpectTensor(RunOp({"Clip", 6, {{"min", 0.0f}, {"max", 6.0f}}, {x}})[0], F({3}, {0, 0.5, 6}));
  ExpectTensor(RunOp({"Clip", 13, {}, {x, Tensor(), F({}, {1})}})[0], F({3}, {-2, 0.5, 1}));
  ExpectTensor(RunOp({"Clip", 13, {}, {x, F({}, {5}), F({}, {1})}})[0], F({3}, {1, 1, 1}));
  ExpectTensor(RunOp({"Clip", 12, {}, {I({2}, {-3, 9}), I({}, {0})}})[0], I({2}, {0, 9}));
}

TEST(Elementwise, PReluSlopes) {
  const Tensor x = F({1, 2, 2}, {-1, 2, -3, 4});
  ExpectTensor(RunOp({"PRelu", 1, {}, {x, F({2}, {0.5, 0.25})}})[0], F({1, 2, 2}, {-0.5, 2, -0.75, 4}));
  ExpectTensor(RunOp({"PRelu", 9, {}, {x, F({2, 1}, {0.5, 0.25})}})[0], F({1, 2, 2}, {-0.5, 2, -0.75, 4}));
  ExpectTensor(RunOp({"PRelu", 16, {}, {x, F({1}, {0.1})}})[0], F({1, 2, 2}, {-0.1, 2, -0.3, 4}));
}

TEST(Elementwise, WhereMovesAnyElement) {
  const Tensor c = Make<bool>({2, 1}, {true, false});
  ExpectTensor(RunOp({"Where", 16, {}, {c, I({2}, {1, 2}), I({}, {9})}})[0], I({2, 2}, {1, 2, 9, 9}));
  ExpectTensor(RunOp({"Where", 9, {}, {c, Make<std::string>({1}, {"a"}), Make<std::string>({1}, {"b"})}})[0],
               Make<std::string>({2, 1}, {"a", "b"}));
}

Tensor CastTo(const Tensor& x, DataType to, int opset = 19, bool saturate = true) {
  return RunOp({"Cast", opset, {{"to", static_cast<int64_t>(to)}, {"saturate", int64_t{saturate}}}, {x}})[0]
      .tensor();
}

TEST(Cast, BetweenNumbersBooleansAndStrings) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  ExpectTensor(CastTo(F({5}, {1.9f, -1.9f, nan, inf, -1e30f}), DataType::kInt32),
               Make<int32_t>({5}, {1, -1, 0, INT32_MAX, INT32_MIN}));
  ExpectTensor(CastTo(F({3}, {0, -0.5, nan}), DataType::kBool), Make<bool>({3}, {false, true, true}));
  ExpectTensor(CastTo(I({2}, {300, -1}), DataType::kUInt8), Make<uint8_t>({2}, {44, 255}));
  ExpectTensor(CastTo(F({4}, {0.1f, inf, -inf, nan}), DataType::kString),
               Make<std::string>({4}, {"0.1", "INF", "-INF", "NaN"}));
  ExpectTensor(CastTo(Make<std::string>({4}, {"1e-3", "+2.5", "-INF", "nan"}), DataType::kFloat),
               F({4}, {1e-3f, 2.5f, -inf, nan}));
  ExpectTensor(CastTo(Make<std::string>({1}, {"9007199254740993"}), DataType::kInt64),
               I({1}, {9007199254740993}));
  ExpectRefused({"Cast", 13, {{"to", int64_t{1}}}, {Make<std::string>({1}, {"one"})}}, "'one' is no number");
  ExpectRefused({"Cast", 13, {{"to", int64_t{99}}}, {F({1}, {1})}}, "no element type");
}

TEST(Cast, NarrowFloatsRoundToNearestEven) {
  for (const DataType type : {DataType::kFloat8E4M3FN, DataType::kFloat8E4M3FNUZ, DataType::kFloat8E5M2,
                              DataType::kFloat8E5M2FNUZ, DataType::kFloat4E2M1}) {
    SCOPED_TRACE(std::string(DataTypeName(type)));
    const int codes = 1 << DataTypeBits(type);
    for (int bits = 0; bits < codes; ++bits) {
      const float value = DecodeNarrow(type, static_cast<uint8_t>(bits));
      if (std::isnan(value)) continue;
      EXPECT_EQ(DecodeNarrow(type, EncodeNarrow(type, value, false)), value) << bits;
    }
    // Every float goes to the nearest of the values around it.
    std::mt19937 random(1);
    for (int i = 0; i < 2000; ++i) {
      const float x =
          std::ldexp(static_cast<float>(random() % 1000) / 500 - 1, static_cast<int>(random() % 8) - 4);
      const float got = DecodeNarrow(type, EncodeNarrow(type, x, true));
      for (int bits = 0; bits < codes; ++bits) {
        const float other = DecodeNarrow(type, static_cast<uint8_t>(bits));
        if (!std::isfinite(other)) continue;
        EXPECT_LE(std::abs(got - x), std::abs(other - x)) << x;
      }
    }
  }
  EXPECT_EQ(EncodeNarrow(DataType::kFloat8E4M3FN, 1e6f, true), 0x7e);
  EXPECT_EQ(EncodeNarrow(DataType::kFloat8E4M3FN, 1e6f, false), 0x7f);
  EXPECT_EQ(EncodeNarrow(DataType::kFloat8E5M2, -1e6f, false), 0xfc);
  EXPECT_EQ(EncodeNarrow(DataType::kFloat8E5M2FNUZ, 1e6f, false), 0x80);
  EXPECT_EQ(EncodeNarrow(DataType::kFloat8E4M3FN, 464.0f, false),
            0x7e);  // halfway to what is not there: to even
}

TEST(Cast, PackedIntegers) {
  const Tensor packed = CastTo(F({5}, {0, 1, 7, -8, -1}), DataType::kInt4, 21);
  EXPECT_EQ(packed.byte_size(), 3);
  ExpectTensor(CastTo(packed, DataType::kFloat, 21), F({5}, {0, 1, 7, -8, -1}));
}

TEST(Dropout, OutsideTrainingIsTheInputAndAMaskOfTrue) {
  const Tensor x = F({3}, {1, 2, 3});
  auto out = RunOp({"Dropout", 13, {}, {x}, 2});
  ExpectTensor(out[0], x);
  ExpectTensor(out[1], Make<bool>({3}, {true, true, true}));
  out = RunOp({"Dropout", 7, {{"ratio", 0.3f}}, {x}, 2});
  ExpectTensor(out[1], F({3}, {1, 1, 1}));
}

TEST(Dropout, TrainingDropsTheShareAskedForAndScalesTheRest) {
  Tensor x(DataType::kFloat, {10000});
  for (float& value : x.mutable_values<float>()) value = 1;
  const auto out =
      RunOp({"Dropout", 13, {{"seed", int64_t{5}}}, {x, F({}, {0.25}), Make<bool>({}, {true})}, 2});
  int64_t kept = 0;
  for (float value : out[0].tensor().values<float>()) {
    EXPECT_TRUE(value == 0 || std::abs(value - 4.0f / 3) < 1e-6f);
    kept += value != 0;
  }
  EXPECT_NEAR(static_cast<double>(kept), 7500, 200);
}

}  // namespace
}  // namespace sluice::test
