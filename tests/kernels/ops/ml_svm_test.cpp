#include <cmath>

#include "tests/kernels/op_test_util.h"

// Support vector machines of ai.onnx.ml.

namespace sluice::test {
namespace {

const std::string kMl = "ai.onnx.ml";

using Strings = std::vector<std::string>;
using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

std::vector<Value> Ml(const std::string& op, int opset, const Attrs& attrs, std::vector<Value> inputs,
                      int outputs = 1) {
  return RunOp({op, opset, attrs, std::move(inputs), outputs, kMl});
}

TEST(Svm, Regressor) {
  const Tensor x = F({1, 2}, {1, 2});
  const auto run = [&](const char* kernel) {
    return Ml("SVMRegressor", 1,
              {{"kernel_type", std::string(kernel)},
               {"kernel_params", Floats{0.5f, 1, 2}},
               {"n_supports", int64_t{2}},
               {"support_vectors", Floats{1, 0, 0, 2}},
               {"coefficients", Floats{2, -1}},
               {"rho", Floats{3}}},
              {x})[0];
  };
  ExpectTensor(run("LINEAR"), F({1, 1}, {3 + 2 * 1 - 4}));
  ExpectTensor(run("POLY"), F({1, 1}, {3 + 2 * 2.25f - 9}));
  ExpectTensor(run("RBF"), F({1, 1}, {3 + 2 * std::exp(-2.0f) - std::exp(-0.5f)}));
  ExpectTensor(run("SIGMOID"), F({1, 1}, {3 + 2 * std::tanh(1.5f) - std::tanh(3.0f)}));
  ExpectTensor(Ml("SVMRegressor", 1,
                  {{"coefficients", Floats{1, 2}}, {"rho", Floats{-6}}, {"one_class", int64_t{1}}}, {x})[0],
               F({1, 1}, {-1}));
}

// A random classifier, as attributes and as something to ask pair by pair.
struct Machine {
  int64_t classes, features;
  Ints per_class;
  Floats vectors, coefficients, rho, prob_a, prob_b;
  std::string kernel;

  Machine(int64_t class_count, int64_t columns, const std::string& kernel_type, uint32_t seed)
      : classes(class_count), features(columns), kernel(kernel_type) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0, 1);
    const auto draw = [&](Floats& list, int64_t count) {
      for (int64_t i = 0; i < count; ++i) list.push_back(normal(engine));
    };
    int64_t supports = 0;
    for (int64_t i = 0; i < classes; ++i) {
      per_class.push_back(static_cast<int64_t>(engine() % 4));
      supports += per_class.back();
    }
    if (supports == 0) per_class[0] = supports = 1;
    draw(vectors, supports * features);
    draw(coefficients, (classes - 1) * supports);
    draw(rho, pairs());
    draw(prob_a, pairs());
    draw(prob_b, pairs());
  }
  int64_t pairs() const { return classes * (classes - 1) / 2; }
  Attrs attrs() const {
    Ints labels;
    for (int64_t i = 0; i < classes; ++i) labels.push_back(100 + i);
    return {{"classlabels_ints", labels},
            {"vectors_per_class", per_class},
            {"support_vectors", vectors},
            {"coefficients", coefficients},
            {"rho", rho},
            {"kernel_type", kernel},
            {"kernel_params", Floats{0.3f, 0.5f, 2}}};
  }
  double Alike(const float* x, int64_t vector) const {
    double dot = 0, distance = 0;
    for (int64_t i = 0; i < features; ++i) {
      const double a = static_cast<double>(x[i]),
                   b = static_cast<double>(vectors[static_cast<size_t>(vector * features + i)]);
      dot += a * b;
      distance += (a - b) * (a - b);
    }
    const double gamma = static_cast<double>(0.3f), coef0 = 0.5;
    if (kernel == "LINEAR") return dot;
    if (kernel == "POLY") return (gamma * dot + coef0) * (gamma * dot + coef0);
    return kernel == "RBF" ? std::exp(-gamma * distance) : std::tanh(gamma * dot + coef0);
  }
  // The decision between classes i < j: libsvm keeps the weights that class i's vectors have against class j
  // in row j - 1, and those that class j's have against class i in row i.
  double Score(const float* x, int64_t i, int64_t j) const {
    const int64_t pair = i * (2 * classes - i - 1) / 2 + (j - i - 1);
    double score = static_cast<double>(rho[static_cast<size_t>(pair)]);
    int64_t vector = 0;
    const auto supports = static_cast<int64_t>(vectors.size()) / features;
    for (int64_t c = 0; c < classes; ++c) {
      for (int64_t k = 0; k < per_class[static_cast<size_t>(c)]; ++k, ++vector) {
        if (c != i && c != j) continue;
        const int64_t row = c == i ? j - 1 : i;
        score += static_cast<double>(coefficients[static_cast<size_t>(row * supports + vector)]) *
                 Alike(x, vector);
      }
    }
    return score;
  }
};

TEST(Svm, ClassifierVotesByPairs) {
  for (const char* kernel : {"LINEAR", "POLY", "RBF", "SIGMOID"}) {
    for (int64_t classes : {2, 3, 5}) {
      SCOPED_TRACE(kernel + std::to_string(classes));
      const Machine machine(classes, 3, kernel, static_cast<uint32_t>(classes));
      const Tensor x = Random({300, 3}, 9);
      const auto out = Ml("SVMClassifier", 1, machine.attrs(), {x}, 2);
      ASSERT_EQ(out[0].tensor().shape(), (Shape{300}));
      Tensor scores(DataType::kFloat, {300, classes == 2 ? 2 : machine.pairs()});
      Tensor labels(DataType::kInt64, {300});
      float* score = scores.mutable_values<float>().data();
      for (int64_t row = 0; row < 300; ++row) {
        std::vector<int> votes(static_cast<size_t>(classes));
        for (int64_t i = 0; i < classes; ++i) {
          for (int64_t j = i + 1; j < classes; ++j) {
            const double s = machine.Score(x.values<float>().data() + 3 * row, i, j);
            if (classes == 2) *score++ = static_cast<float>(-s);
            *score++ = static_cast<float>(s);
            ++votes[static_cast<size_t>(s > 0 ? i : j)];
          }
        }
        labels.mutable_values<int64_t>()[static_cast<size_t>(row)] =
            100 + (std::max_element(votes.begin(), votes.end()) - votes.begin());
      }
      ExpectTensor(out[0], labels);
      ExpectTensor(out[1], scores, 1e-5);
    }
  }
}

// Solves a p = b by elimination with pivots.
std::vector<double> Solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    size_t pivot = i;
    for (size_t k = i; k < n; ++k) pivot = std::abs(a[k][i]) > std::abs(a[pivot][i]) ? k : pivot;
    std::swap(a[i], a[pivot]);
    std::swap(b[i], b[pivot]);
    for (size_t k = 0; k < n; ++k) {
      if (k == i) continue;
      const double factor = a[k][i] / a[i][i];
      for (size_t m = i; m < n; ++m) a[k][m] -= factor * a[i][m];
      b[k] -= factor * b[i];
    }
  }
  for (size_t i = 0; i < n; ++i) b[i] /= a[i][i];
  return b;
}

TEST(Svm, ProbabilitiesAreThoseThatFitThePairsBest) {
  for (int64_t classes : {2, 3, 6}) {
    SCOPED_TRACE(classes);
    const Machine machine(classes, 4, "RBF", 77);
    const Tensor x = Random({50, 4}, 3);
    Attrs attrs = machine.attrs();
    const Tensor votes = Ml("SVMClassifier", 1, attrs, {x}, 2)[0].tensor();
    attrs["prob_a"] = machine.prob_a;
    attrs["prob_b"] = machine.prob_b;
    const auto out = Ml("SVMClassifier", 1, attrs, {x}, 2);
    ExpectTensor(out[0], votes);  // the label stays that of most votes
    ASSERT_EQ(out[1].tensor().shape(), (Shape{50, classes}));
    const auto n = static_cast<size_t>(classes);
    for (size_t row = 0; row < 50; ++row) {
      std::vector<std::vector<double>> r(n, std::vector<double>(n));
      size_t pair = 0;
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = i + 1; j < n; ++j, ++pair) {
          const double s = machine.Score(x.values<float>().data() + 4 * row, static_cast<int64_t>(i),
                                         static_cast<int64_t>(j));
          const double at =
              static_cast<double>(machine.prob_a[pair]) * s + static_cast<double>(machine.prob_b[pair]);
          r[i][j] = std::clamp(1 / (1 + std::exp(at)), 1e-7, 1 - 1e-7);
          r[j][i] = 1 - r[i][j];
        }
      }
      // The minimum of sum (r_ji p_i - r_ij p_j)^2 with sum p = 1, by its linear system with a multiplier.
      std::vector<std::vector<double>> a(n + 1, std::vector<double>(n + 1, 1.0));
      for (size_t i = 0; i < n; ++i) {
        a[i][i] = 0;
        for (size_t j = 0; j < n; ++j) {
          if (j == i) continue;
          a[i][i] += r[j][i] * r[j][i];
          a[i][j] = -r[j][i] * r[i][j];
        }
      }
      a[n][n] = 0;
      std::vector<double> b(n + 1, 0.0);
      b[n] = 1;
      const std::vector<double> want = Solve(a, b);
      double sum = 0;
      for (size_t i = 0; i < n; ++i) {
        const auto got = static_cast<double>(out[1].tensor().values<float>()[row * n + i]);
        EXPECT_NEAR(got, want[i], 0.02) << "row " << row;  // libsvm's tolerance ends the search
        sum += got;
      }
      EXPECT_NEAR(sum, 1, 1e-6);
    }
  }
}

TEST(Svm, ClassifierTransformsScores) {
  Attrs attrs = {{"classlabels_strings", Strings{"n", "p"}},
                 {"vectors_per_class", Ints{1, 1}},
                 {"support_vectors", Floats{1, 0}},
                 {"coefficients", Floats{2, -1}},
                 {"rho", Floats{0.5f}}};
  const Tensor x = F({3, 1}, {1, -1, 0});  // scores 2.5, -1.5, 0.5: above 0 for the first class
  auto out = Ml("SVMClassifier", 1, attrs, {x}, 2);
  ExpectTensor(out[0], Make<std::string>({3}, {"n", "p", "n"}));
  ExpectTensor(out[1], F({3, 2}, {-2.5f, 2.5f, 1.5f, -1.5f, -0.5f, 0.5f}));
  attrs["post_transform"] = std::string("LOGISTIC");
  const auto logistic = [](float s) { return 1 / (1 + std::exp(-s)); };
  ExpectTensor(Ml("SVMClassifier", 1, attrs, {x}, 2)[1],
               F({3, 2}, {logistic(-2.5f), logistic(2.5f), logistic(1.5f), logistic(-1.5f), logistic(-0.5f),
                          logistic(0.5f)}));
  attrs["post_transform"] = std::string("SOFTMAX");
  ExpectTensor(Ml("SVMClassifier", 1, attrs, {x}, 2)[1],
               F({3, 2}, {logistic(-5), logistic(5), logistic(3), logistic(-3), logistic(-1), logistic(1)}));
}

TEST(Svm, ClassifierWithoutVectorsIsLinear) {
  const Attrs attrs = {{"classlabels_ints", Ints{4, 5, 6}},
                       {"coefficients", Floats{1, 0, 0, 1, -1, -1}},
                       {"rho", Floats{0.5f}}};
  const auto out = Ml("SVMClassifier", 1, attrs, {Make<double>({2, 2}, {3, 1, -3, -1})}, 2);
  ExpectTensor(out[0], I({2}, {4, 6}));
  ExpectTensor(out[1], F({2, 3}, {3.5f, 1.5f, -3.5f, -2.5f, -0.5f, 4.5f}));
}

TEST(Svm, ClassifierRefuses) {
  const Tensor x = Random({2, 3}, 1);
  const auto refused = [&](const std::string& name, const Attribute& value, const std::string& part) {
    Attrs attrs = Machine(3, 3, "RBF", 5).attrs();
    attrs[name] = value;
    ExpectRefused({"SVMClassifier", 1, attrs, {x}, 2, kMl}, part);
  };
  refused("rho", Floats{1}, "rho has 1 entries, expected 3");
  refused("coefficients", Floats{1}, "coefficients has 1 entries");
  refused("support_vectors", Floats{1}, "support_vectors");
  refused("vectors_per_class", Ints{1}, "vectors_per_class has 1 entries, expected 3");
  refused("vectors_per_class", Ints{1, -1, 1}, "vectors_per_class has -1");
  refused("vectors_per_class", Ints{INT64_MAX, INT64_MAX, 2}, "vectors_per_class has 9223372036854775807");
  refused("kernel_type", std::string("SPLINE"), "unknown kernel_type 'SPLINE'");
  refused("kernel_params", Floats{1}, "kernel_params has 1 entries, expected 3");
  refused("prob_a", Floats{1}, "prob_a has 1 entries, expected 3");
  refused("prob_b", Floats{1}, "prob_b has 1 entries, expected 0");
  refused("classlabels_ints", Ints{1}, "two classes at least");
  refused("post_transform", std::string("TANH"), "unknown post_transform 'TANH'");
  ExpectRefused({"SVMClassifier", 1, Machine(3, 3, "RBF", 5).attrs(), {F({1, 2}, {1, 2})}, 2, kMl},
                "support_vectors");
}

}  // namespace
}  // namespace sluice::test
