#include "kernels/ops/ml_rows.h"

// SVMRegressor and SVMClassifier (ai.onnx.ml 1): support vector machines as libsvm has them, or linear models
// where there are no support vectors. Computed in double.

namespace sluice {
namespace {

// How alike two vectors are.
class SvmKernelFunction {
 public:
  SvmKernelFunction() = default;
  explicit SvmKernelFunction(const Attributes& attrs) {
    static const std::string kNames[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    const std::string name = attrs.String("kernel_type", "LINEAR");
    const auto found = std::find(std::begin(kNames), std::end(kNames), name);
    if (found == std::end(kNames))
      throw Error(ErrorCode::kInvalidModel, "unknown kernel_type '" + name + "'");
    kind_ = static_cast<Kind>(found - std::begin(kNames));
    const std::vector<float> params = attrs.Floats("kernel_params", {});
    if (!params.empty()) CheckSize("kernel_params", params.size(), 3);
    for (size_t i = 0; i < params.size(); ++i) params_[i] = static_cast<double>(params[i]);
  }
  template <typename T>
  double operator()(const T* x, const float* vector, int64_t size) const {
    const auto& [gamma, coef0, degree] = params_;
    double sum = 0;
    for (int64_t i = 0; i < size; ++i) {
      const auto a = static_cast<double>(x[i]), b = static_cast<double>(vector[i]);
      sum += kind_ == Kind::kRbf ? (a - b) * (a - b) : a * b;
    }
    switch (kind_) {
      case Kind::kLinear:
        return sum;
      case Kind::kPoly:
        return std::pow(gamma * sum + coef0, degree);
      case Kind::kRbf:
        return std::exp(-gamma * sum);
      case Kind::kSigmoid:
        return std::tanh(gamma * sum + coef0);
    }
    return sum;
  }

 private:
  enum class Kind { kLinear, kPoly, kRbf, kSigmoid };
  Kind kind_ = Kind::kLinear;
  double params_[3] = {0, 0, 3};  // gamma, coef0, degree
};

class SvmRegressorKernel : public RowKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Attributes& attrs = ctx.attrs();
    const Rows rows(ctx, ctx.shape(0));
    function_ = SvmKernelFunction(attrs);
    vectors_ = attrs.Floats("support_vectors", {});
    coefficients_ = attrs.Floats("coefficients");
    rho_ = attrs.Floats("rho");
    count_ = attrs.Int("n_supports", 0);
    one_class_ = attrs.Int("one_class", 0) != 0;
    post_ = PostTransformOf(attrs);
    CheckSize("rho", rho_.size(), 1);
    if (count_ < 0) ctx.Fail("n_supports is " + std::to_string(count_));
    // Without support vectors the coefficients are those of a linear model.
    CheckSize("support_vectors", vectors_.size(), NumElements(Shape{count_, rows.columns}));
    CheckSize("coefficients", coefficients_.size(), count_ > 0 ? count_ : rows.columns);
    PrepareRows(ctx, static_cast<int64_t>(vectors_.size()), 1);
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    ForEachRow(ctx, tile, [&](int64_t row, const auto* x, double* score) {
      *score = static_cast<double>(rho_[0]);
      for (int64_t i = 0; i < count_; ++i)
        *score += static_cast<double>(coefficients_[static_cast<size_t>(i)]) *
                  function_(x, vectors_.data() + i * rows_.columns, rows_.columns);
      if (count_ == 0) *score += function_(x, coefficients_.data(), rows_.columns);
      if (one_class_) *score = *score > 0 ? 1 : -1;
      Transform(post_, score, 1);
      ctx.out<float>(0)[row] = static_cast<float>(*score);
    });
  }

 private:
  SvmKernelFunction function_;
  std::vector<float> vectors_, coefficients_, rho_;
  int64_t count_ = 0;
  bool one_class_ = false;
  PostTransform post_ = PostTransform::kNone;
};

// The probabilities p of `count` classes from those of pairs: r[i * count + j] is that of class i where it is
// i or j. They minimise sum_{i != j} (r_ji p_i - r_ij p_j)^2 with sum p_i = 1 (Wu, Lin, Weng: Probability
// Estimates for Multi-class Classification by Pairwise Coupling, 2004, algorithm 2), up to the tolerance that
// libsvm has. Scratch: q [count, count], qp [count].
void CouplePairs(const double* r, int64_t count, double* p, double* q, double* qp) {
  for (int64_t i = 0; i < count; ++i) {
    p[i] = 1 / static_cast<double>(count);
    double sum = 0;
    for (int64_t j = 0; j < count; ++j) {
      if (j == i) continue;
      sum += r[j * count + i] * r[j * count + i];
      q[i * count + j] = -r[j * count + i] * r[i * count + j];
    }
    q[i * count + i] = sum;
  }
  const double tolerance = 0.005 / static_cast<double>(count);
  for (int64_t round = std::max<int64_t>(100, count); round > 0; --round) {
    // At the minimum all elements of q p are p' q p.
    double pqp = 0;
    for (int64_t i = 0; i < count; ++i) {
      qp[i] = 0;
      for (int64_t j = 0; j < count; ++j) qp[i] += q[i * count + j] * p[j];
      pqp += p[i] * qp[i];
    }
    const auto off = [&](double element) { return std::abs(element - pqp) >= tolerance; };
    if (std::none_of(qp, qp + count, off)) return;
    for (int64_t i = 0; i < count; ++i) {
      const double step = (pqp - qp[i]) / q[i * count + i], scale = 1 + step;
      p[i] += step;
      pqp = (pqp + step * (step * q[i * count + i] + 2 * qp[i])) / (scale * scale);
      for (int64_t j = 0; j < count; ++j) {
        qp[j] = (qp[j] + step * q[i * count + j]) / scale;
        p[j] /= scale;
      }
    }
  }
}

// What the attributes of an SVMClassifier say about its outputs.
struct SvmClasses {
  Labels labels;
  bool linear = false;         // one score a class, without support vectors
  bool probabilities = false;  // one score a class

  explicit SvmClasses(const Attributes& attrs) : labels(attrs, "classlabels_strings", "classlabels_ints") {
    const std::vector<int64_t> supports = attrs.Ints("vectors_per_class", {});
    linear = std::all_of(supports.begin(), supports.end(), [](int64_t count) { return count == 0; });
    probabilities = !linear && !attrs.Floats("prob_a", {}).empty();
    if (labels.size() > kMaxClasses)
      throw Error(ErrorCode::kInvalidModel, std::to_string(labels.size()) + " classes, expected at most " +
                                                std::to_string(kMaxClasses));
    if (!linear && labels.size() < 2)
      throw Error(ErrorCode::kInvalidModel, "support vectors need two classes at least");
  }
  int64_t pairs() const { return labels.size() * (labels.size() - 1) / 2; }
  // Two classes without probabilities have -s and s, more have a score for each pair.
  int64_t scores() const { return linear || probabilities || labels.size() == 2 ? labels.size() : pairs(); }

  static constexpr int64_t kMaxClasses = 1 << 15;
};

// Each pair of classes has a machine of its own, whose score is above 0 for the first of the two; the class
// that wins most pairs is the label. libsvm's order: machine (i, j) weighs the support vectors of class i by
// row j - 1 of the coefficients, those of class j by row i.
class SvmClassifierKernel : public RowKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Attributes& attrs = ctx.attrs();
    const Rows rows(ctx, ctx.shape(0));
    const SvmClasses classes(attrs);
    labels_ = classes.labels;
    linear_ = classes.linear;
    probabilities_ = classes.probabilities;
    classes_ = labels_.size();
    pairs_ = classes.pairs();
    scores_ = classes.scores();
    post_ = PostTransformOf(attrs);
    coefficients_ = attrs.Floats("coefficients");
    rho_ = attrs.Floats("rho");
    if (linear_) {
      CheckSize("coefficients", coefficients_.size(), NumElements(Shape{classes_, rows.columns}));
      if (rho_.empty()) ctx.Fail("rho has no entries");
      PrepareRows(ctx, static_cast<int64_t>(coefficients_.size()), classes_);
      return;
    }
    PrepareVectors(ctx, rows.columns);
  }

  void Run(const RunContext& ctx, int64_t tile) const override {
    ForEachRow(ctx, tile, [&](int64_t row, const auto* x, double* scratch) {
      double* scores = scratch;
      int64_t label = 0;
      if (linear_) {
        for (int64_t i = 0; i < classes_; ++i)
          scores[i] = static_cast<double>(rho_[0]) +
                      function_(x, coefficients_.data() + i * rows_.columns, rows_.columns);
        label = std::max_element(scores, scores + classes_) - scores;
      } else {
        scores += supports_ + classes_;
        label = RunPairs(x, scratch, scratch + supports_, scores);
        if (probabilities_) {
          double* p = scores + pairs_;
          PairsToClasses(scores, p);
          scores = p;
        } else if (classes_ == 2) {
          scores[1] = scores[0];
          scores[0] = -scores[1];
        }
      }
      labels_.Write(ctx, 0, row, label);
      Transform(post_, scores, scores_);
      if (auto* dst = ctx.out<float>(1)) {
        for (int64_t i = 0; i < scores_; ++i) dst[row * scores_ + i] = static_cast<float>(scores[i]);
      }
    });
  }

 private:
  void PrepareVectors(PrepareContext& ctx, int64_t columns) {
    const Attributes& attrs = ctx.attrs();
    function_ = SvmKernelFunction(attrs);
    const std::vector<int64_t>& per_class = attrs.Ints("vectors_per_class");
    CheckSize("vectors_per_class", per_class.size(), classes_);
    first_ = {0};
    vectors_ = attrs.Floats("support_vectors");
    for (int64_t count : per_class) {
      // At most as many as there are elements, so that sums stay in range.
      if (count < 0 || count > static_cast<int64_t>(vectors_.size()) - first_.back())
        ctx.Fail("vectors_per_class has " + std::to_string(count) + ", support_vectors " +
                 std::to_string(vectors_.size()) + " elements");
      first_.push_back(first_.back() + count);
    }
    supports_ = first_.back();
    CheckSize("support_vectors", vectors_.size(), NumElements(Shape{supports_, columns}));
    CheckSize("coefficients", coefficients_.size(), NumElements(Shape{classes_ - 1, supports_}));
    CheckSize("rho", rho_.size(), pairs_);
    prob_a_ = attrs.Floats("prob_a", {});
    prob_b_ = attrs.Floats("prob_b", {});
    if (probabilities_) CheckSize("prob_a", prob_a_.size(), pairs_);
    CheckSize("prob_b", prob_b_.size(), static_cast<int64_t>(prob_a_.size()));
    // Values of the kernel function, votes, scores of pairs (two at least) and what the probabilities take.
    const int64_t square = classes_ * classes_;
    PrepareRows(ctx, static_cast<int64_t>(vectors_.size() + coefficients_.size()),
                supports_ + classes_ + std::max<int64_t>(pairs_, 2) +
                    (probabilities_ ? 2 * classes_ + 2 * square : 0));
  }

  // Fills `alike` and `votes`, writes the scores of the pairs and returns the class with most votes.
  template <typename T>
  int64_t RunPairs(const T* x, double* alike, double* votes, double* scores) const {
    for (int64_t i = 0; i < supports_; ++i)
      alike[i] = function_(x, vectors_.data() + i * rows_.columns, rows_.columns);
    std::fill_n(votes, classes_, 0.0);
    int64_t pair = 0;
    for (int64_t i = 0; i < classes_; ++i) {
      for (int64_t j = i + 1; j < classes_; ++j, ++pair) {
        const double score = static_cast<double>(rho_[static_cast<size_t>(pair)]) + Weigh(alike, i, j - 1) +
                             Weigh(alike, j, i);
        scores[pair] = score;
        ++votes[score > 0 ? i : j];
      }
    }
    return std::max_element(votes, votes + classes_) - votes;
  }
  // The support vectors of a class by a row of coefficients.
  double Weigh(const double* alike, int64_t of_class, int64_t row) const {
    double sum = 0;
    const float* weights = coefficients_.data() + row * supports_;
    for (int64_t m = first_[static_cast<size_t>(of_class)]; m < first_[static_cast<size_t>(of_class) + 1];
         ++m)
      sum += static_cast<double>(weights[m]) * alike[m];
    return sum;
  }

  // The probability that a pair's first class is it follows from its score by the sigmoid that was fitted to
  // it.
  void PairsToClasses(const double* scores, double* p) const {
    constexpr double kLeast = 1e-7;
    double *r = p + classes_, *q = r + classes_ * classes_, *qp = q + classes_ * classes_;
    int64_t pair = 0;
    for (int64_t i = 0; i < classes_; ++i) {
      for (int64_t j = i + 1; j < classes_; ++j, ++pair) {
        const auto k = static_cast<size_t>(pair);
        const double first =
            Logistic(-(scores[pair] * static_cast<double>(prob_a_[k]) + static_cast<double>(prob_b_[k])));
        r[i * classes_ + j] = std::clamp(first, kLeast, 1 - kLeast);
        r[j * classes_ + i] = 1 - r[i * classes_ + j];
      }
    }
    CouplePairs(r, classes_, p, q, qp);
  }

  Labels labels_;
  SvmKernelFunction function_;
  std::vector<float> vectors_, coefficients_, rho_, prob_a_, prob_b_;
  std::vector<int64_t> first_;  // of each class, the first support vector, and their number
  int64_t classes_ = 0, pairs_ = 0, scores_ = 0, supports_ = 0;
  bool linear_ = false, probabilities_ = false;
  PostTransform post_ = PostTransform::kNone;
};

void InferSvmRegressor(InferContext& ctx) { ctx.SetOutput(0, DataType::kFloat, {RowsOf(ctx), Dim(1)}); }

void InferSvmClassifier(InferContext& ctx) {
  const SvmClasses classes(ctx.attrs());
  const Dim rows = RowsOf(ctx);
  ctx.SetOutput(0, classes.labels.dtype(), {rows});
  ctx.SetOutput(1, DataType::kFloat, {rows, Dim(classes.scores())});
}

const Operator kOperators[] = {
    MlOperator("SVMClassifier", {1}, InferSvmClassifier, &Make<SvmClassifierKernel>, 2),
    MlOperator("SVMRegressor", {1}, InferSvmRegressor, &Make<SvmRegressorKernel>),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
