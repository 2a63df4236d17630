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

// The largest distance between the distribution function of the sample and `cdf` (Kolmogorov-Smirnov).
template <typename Cdf>
double Distance(const Tensor& x, const Cdf& cdf) {
  std::vector<double> sorted(x.values<double>().begin(), x.values<double>().end());
  std::sort(sorted.begin(), sorted.end());
  double distance = 0;
  const auto n = static_cast<double>(sorted.size());
  for (size_t i = 0; i < sorted.size(); ++i) {
    const double at = cdf(sorted[i]);
    distance = std::max({distance, at - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - at});
  }
  return distance;
}

TEST(Random, DistributionsAreThoseStated) {
  // A true sample passes 1.95 / sqrt(n) once in a thousand; the seeds are fixed, so a run cannot differ.
  const double limit = 1.95 / std::sqrt(400000.0);
  for (float seed : {0.0f, 1.0f, -3.5f, 1e30f}) {
    const Attrs attrs = With({{"shape", kLarge}, {"dtype", int64_t{11}}}, seed);
    EXPECT_LT(Distance(Draw("RandomUniform", 1, attrs), [](double x) { return x; }), limit) << seed;
    const auto normal = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
    EXPECT_LT(Distance(Draw("RandomNormal", 1, attrs), normal), limit) << seed;
  }
}

// sum (found - expected)^2 / expected, less its mean, in standard deviations.
double ChiSquare(const std::vector<int64_t>& counts, const std::vector<double>& expected) {
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i)
    sum += std::pow(static_cast<double>(counts[i]) - expected[i], 2) / expected[i];
  const auto freedom = static_cast<double>(counts.size() - 1);
  return (sum - freedom) / std::sqrt(2 * freedom);
}

TEST(Random, CellsOfPairsAreFilledEvenly) {
  const Tensor x = Draw("RandomUniform", 1, With({{"shape", kLarge}}, 11));
  // Neighbours as points of a square of 20 x 20 cells.
  std::vector<int64_t> cells(400);
  for (size_t i = 0; i < 400000; i += 2) {
    const auto column = static_cast<size_t>(x.values<float>()[i] * 20),
               row = static_cast<size_t>(x.values<float>()[i + 1] * 20);
    ++cells[std::min<size_t>(row, 19) * 20 + std::min<size_t>(column, 19)];
  }
  const double off = ChiSquare(cells, std::vector<double>(400, 500.0));
  EXPECT_LT(std::abs(off), 4);
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

TEST(Random, MultinomialFillsItsClasses) {
  Tensor logits(DataType::kDouble, {1, 50});
  std::vector<double> expected(50);
  double sum = 0;
  for (size_t i = 0; i < 50; ++i) {
    const double logit = std::sin(static_cast<double>(i)) * 2;
    logits.mutable_values<double>()[i] = logit + 300;
    sum += expected[i] = std::exp(logit);
  }
  for (double& count : expected) count *= 400000 / sum;
  const Tensor x = Draw("Multinomial", 22, With({{"sample_size", int64_t{400000}}}, 6), {logits});
  std::vector<int64_t> counts(50);
  for (int32_t drawn : x.values<int32_t>()) ++counts.at(static_cast<size_t>(drawn));
  EXPECT_LT(std::abs(ChiSquare(counts, expected)), 4);
}

TEST(Random, DropoutKeepsTheMean) {
  Tensor ones(DataType::kFloat, {400000});
  for (float& value : ones.mutable_values<float>()) value = 1;
  const Tensor ratio = F({}, {0.25f}), training = Make<bool>({}, {true});
  const OpCase c = {"Dropout", 13, {{"seed", int64_t{5}}}, {ones, ratio, training}, 2};
  const auto out = RunOp(c);
  int64_t kept = 0;
  for (size_t i = 0; i < 400000; ++i) {
    const bool keep = out[1].tensor().values<bool>()[i];
    ASSERT_EQ(out[0].tensor().values<float>()[i], keep ? 1 / 0.75f : 0.0f);
    kept += keep;
  }
  EXPECT_NEAR(static_cast<double>(kept) / 400000, 0.75, kSigmas * std::sqrt(0.75 * 0.25));
  ExpectTensor(RunOp(c)[0], out[0].tensor());
  // Without a seed runs differ; outside training and with a ratio of 0 everything stays.
  const auto other = [&](const Tensor& share, const Tensor& train) {
    return RunOp({"Dropout", 13, {}, {ones, share, train}, 2})[0].tensor();
  };
  const Tensor first = other(ratio, training), second = other(ratio, training);
  EXPECT_FALSE(std::equal(first.values<float>().begin(), first.values<float>().end(), second.values<float>().begin()));
  ExpectTensor(other(ratio, Make<bool>({}, {false})), ones);
  ExpectTensor(other(F({}, {0}), training), ones);
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
