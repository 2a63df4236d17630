#include <cmath>

#include "tests/kernels/op_test_util.h"

// The random operators, by the statistics of what they draw: a correct generator fails a bound of 6 standard
// deviations once in 10^8 runs, and all but one case have a seed.

namespace sluice::test {
namespace {

struct Moments {
  double mean = 0, variance = 0;
};
template <typename T>
Moments MomentsOf(const Tensor& x) {
  Moments m;
  const auto n = static_cast<double>(x.num_elements());
  for (T value : x.values<T>()) m.mean += static_cast<double>(value) / n;
  for (T value : x.values<T>()) m.variance += std::pow(static_cast<double>(value) - m.mean, 2) / n;
  return m;
}

const Attribute kLarge = std::vector<int64_t>{400, 1000};
constexpr double kSigmas = 6 / 632.4;  // of the mean of 400000 numbers

Attrs With(Attrs attrs, float seed) {
  attrs["seed"] = seed;
  return attrs;
}
Tensor Draw(const std::string& op, int opset, const Attrs& attrs, std::vector<Value> inputs = {}) {
  return RunOp({op, opset, attrs, std::move(inputs)})[0].tensor();
}

TEST(Random, NormalHasMeanAndScale) {
  const Tensor x = Draw("RandomNormal", 1, With({{"shape", kLarge}, {"mean", 3.0f}, {"scale", 2.0f}}, 7));
  EXPECT_EQ(x.shape(), (Shape{400, 1000}));
  const Moments m = MomentsOf<float>(x);
  EXPECT_NEAR(m.mean, 3, 2 * kSigmas);
  EXPECT_NEAR(m.variance, 4, 4 * 1.5 * kSigmas);
  double within = 0;
  for (float value : x.values<float>()) within += std::abs(value - 3) < 2 ? 1.0 / 400000 : 0;
  EXPECT_NEAR(within, 0.6827, kSigmas);
}

TEST(Random, UniformStaysInItsRange) {
  const Tensor x = Draw("RandomUniform", 22,
                        With({{"shape", kLarge}, {"low", -1.0f}, {"high", 3.0f}, {"dtype", int64_t{11}}}, 1));
  ASSERT_EQ(x.dtype(), DataType::kDouble);
  for (double value : x.values<double>()) ASSERT_TRUE(value >= -1 && value < 3);
  const Moments m = MomentsOf<double>(x);
  EXPECT_NEAR(m.mean, 1, 2 * kSigmas);
  EXPECT_NEAR(m.variance, 16.0 / 12, 2 * kSigmas);
}

TEST(Random, NeighboursAreIndependent) {
  const Tensor x = Draw("RandomNormal", 1, With({{"shape", kLarge}}, 5));
  const auto v = x.values<float>();
  for (size_t lag : {size_t{1}, size_t{2}, size_t{1000}}) {
    double product = 0;
    for (size_t i = lag; i < v.size(); ++i)
      product += static_cast<double>(v[i] * v[i - lag]) / static_cast<double>(v.size());
    EXPECT_NEAR(product, 0, kSigmas) << lag;
  }
}

TEST(Random, SeedDecides) {
  const Attrs attrs = {{"shape", kLarge}};
  const auto equal = [](const Tensor& a, const Tensor& b) {
    return std::equal(a.values<float>().begin(), a.values<float>().end(), b.values<float>().begin());
  };
  const Tensor x = Draw("RandomUniform", 1, With(attrs, 1));
  EXPECT_TRUE(equal(x, Draw("RandomUniform", 1, With(attrs, 1))));
  EXPECT_FALSE(equal(x, Draw("RandomUniform", 1, With(attrs, 2))));
  EXPECT_FALSE(equal(Draw("RandomUniform", 1, attrs), Draw("RandomUniform", 1, attrs)));
}

TEST(Random, LikeTakesShapeAndType) {
  const Tensor like(DataType::kFloat16, {3, 0, 2});
  EXPECT_EQ(Draw("RandomNormalLike", 1, {}, {like}).dtype(), DataType::kFloat16);
  const Tensor wide =
      Draw("RandomUniformLike", 1, {{"dtype", int64_t{1}}}, {Tensor(DataType::kInt64, {2, 5})});
  EXPECT_EQ(wide.dtype(), DataType::kFloat);
  EXPECT_EQ(wide.shape(), (Shape{2, 5}));
}

TEST(Random, BernoulliDrawsOnesAsOften) {
  Tensor p(DataType::kFloat, {400000});
  for (float& value : p.mutable_values<float>()) value = 0.3f;
  EXPECT_NEAR(MomentsOf<int32_t>(Draw("Bernoulli", 15, With({{"dtype", int64_t{6}}}, 3), {p})).mean, 0.3,
              kSigmas);
  ExpectTensor(Draw("Bernoulli", 15, {{"dtype", int64_t{9}}}, {Make<double>({2}, {0, 1})}),
               Make<bool>({2}, {false, true}));
  ExpectTensor(Draw("Bernoulli", 15, {}, {F({2}, {0, 1})}), F({2}, {0, 1}));
}

TEST(Random, MultinomialDrawsByProbability) {
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor logits = F({2, 3}, {std::log(1.0f), std::log(2.0f), std::log(7.0f), 1000, -inf, 1000});
  const Tensor x =
      Draw("Multinomial", 7, With({{"sample_size", int64_t{400000}}, {"dtype", int64_t{7}}}, 4), {logits});
  double counts[2][3] = {};
  for (size_t i = 0; i < 800000; ++i) counts[i / 400000][x.values<int64_t>()[i]] += 1.0 / 400000;
  EXPECT_NEAR(counts[0][0], 0.1, kSigmas);
  EXPECT_NEAR(counts[0][1], 0.2, kSigmas);
  EXPECT_NEAR(counts[1][0], 0.5, kSigmas);
  EXPECT_EQ(counts[1][1], 0);
  EXPECT_EQ(Draw("Multinomial", 7, {}, {logits}).dtype(), DataType::kInt32);
}

TEST(Random, Refuses) {
  ExpectRefused({"RandomNormal", 1, {{"shape", std::vector<int64_t>{int64_t{1} << 50}}}},
                "exceeds the machine's memory");
  ExpectRefused({"RandomNormal", 1, {{"shape", std::vector<int64_t>{-1}}}}, "size -1");
  ExpectRefused({"RandomNormal", 1, {{"shape", std::vector<int64_t>{1}}, {"dtype", int64_t{7}}}}, "int64");
  ExpectRefused({"Multinomial", 7, {}, {F({2}, {1, 2})}}, "expected rank 2");
  ExpectRefused({"Multinomial", 7, {}, {F({1, 0}, {})}}, "no classes");
  ExpectRefused({"Multinomial", 7, {{"dtype", int64_t{1}}}, {F({1, 1}, {1})}}, "expected int32 or int64");
  ExpectRefused({"Bernoulli", 15, {}, {I({1}, {1})}}, "int64");
}

}  // namespace
}  // namespace sluice::test
