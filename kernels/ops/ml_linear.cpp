#include "kernels/ops/ml_scores.h"
#include "kernels/parallel.h"

// LinearClassifier, LinearRegressor and SVMRegressor (ai.onnx.ml 1). Computed in double.

namespace sluice {
namespace {

void CheckSize(const std::string& name, size_t size, int64_t expected) {
  if (static_cast<int64_t>(size) != expected)
    throw Error(ErrorCode::kInvalidModel,
                name + " has " + std::to_string(size) + " entries, expected " + std::to_string(expected));
}

// Base of the three: rows of features in.
class RowKernel : public Kernel {
 public:
  int64_t tiles() const override { return PiecesOf(rows_.rows, 16 * 1024 / (row_work_ + 1) + 1); }

 protected:
  // `work`: multiplications a row; `scores`: doubles of scratch.
  void PrepareRows(PrepareContext& ctx, int64_t work, int64_t scores) {
    type_ = ctx.dtype(0);
    rows_ = Rows(ctx, ctx.shape(0));
    row_work_ = std::max<int64_t>(work, 1);
    if (!Contains(MlTypes(), type_)) ctx.Unsupported("features of type " + std::string(DataTypeName(type_)));
    ctx.SetScratch(ByteSize(DataType::kDouble, scores));
  }
  // Calls fn(row, features, scratch) for the rows of a tile.
  template <typename Fn>
  void ForEachRow(const RunContext& ctx, int64_t tile, const Fn& fn) const {
    const Range range = PieceOf(rows_.rows, tiles(), tile);
    Dispatch(MlTypes(), type_, [&](auto tag) {
      const auto* src = ctx.in<typename decltype(tag)::type>(0);
      for (int64_t row = range.begin; row < range.end; ++row)
        fn(row, src + row * rows_.columns, ctx.scratch<double>());
    });
  }

  Rows rows_;

 private:
  DataType type_ = DataType::kUndefined;
  int64_t row_work_ = 1;
};

// scores[j] = coefficients[j] x + intercepts[j].
struct LinearModel {
  int64_t targets = 0, features = 0;
  std::vector<float> coefficients, intercepts;

  LinearModel() = default;
  LinearModel(const Attributes& attrs, int64_t count, int64_t columns)
      : targets(count),
        features(columns),
        coefficients(attrs.Floats("coefficients")),
        intercepts(attrs.Floats("intercepts", {})) {
    CheckSize("coefficients", coefficients.size(), NumElements(Shape{targets, features}));
    if (!intercepts.empty()) CheckSize("intercepts", intercepts.size(), targets);
  }
  template <typename T>
  void Evaluate(const T* x, double* scores) const {
    for (int64_t j = 0; j < targets; ++j) {
      double sum = intercepts.empty() ? 0 : static_cast<double>(intercepts[static_cast<size_t>(j)]);
      const float* row = coefficients.data() + j * features;
      for (int64_t i = 0; i < features; ++i) sum += static_cast<double>(row[i]) * static_cast<double>(x[i]);
      scores[j] = sum;
    }
  }
};

class LinearRegressorKernel : public RowKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Rows rows(ctx, ctx.shape(0));
    const int64_t targets = ctx.attrs().Int("targets", 1);
    model_ = LinearModel(ctx.attrs(), targets, rows.columns);
    post_ = PostTransformOf(ctx.attrs());
    PrepareRows(ctx, static_cast<int64_t>(model_.coefficients.size()), targets);
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    ForEachRow(ctx, tile, [&](int64_t row, const auto* x, double* scores) {
      model_.Evaluate(x, scores);
      Transform(post_, scores, model_.targets);
      for (int64_t j = 0; j < model_.targets; ++j)
        ctx.out<float>(0)[row * model_.targets + j] = static_cast<float>(scores[j]);
    });
  }

 private:
  LinearModel model_;
  PostTransform post_ = PostTransform::kNone;
};

// Where two classes have one score s, the second's, the first's is -s.
class LinearClassifierKernel : public RowKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    labels_ = Labels(ctx.attrs(), "classlabels_strings", "classlabels_ints");
    const Rows rows(ctx, ctx.shape(0));
    const auto given = static_cast<int64_t>(ctx.attrs().Floats("coefficients").size());
    const bool lone = labels_.size() == 2 && given == rows.columns;
    model_ = LinearModel(ctx.attrs(), lone ? 1 : labels_.size(), rows.columns);
    post_ = PostTransformOf(ctx.attrs());
    PrepareRows(ctx, given, labels_.size());
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t classes = labels_.size();
    ForEachRow(ctx, tile, [&](int64_t row, const auto* x, double* scores) {
      model_.Evaluate(x, scores);
      if (model_.targets < classes) {
        scores[1] = scores[0];
        scores[0] = -scores[1];
      }
      // A lone score must be above 0 for the second class; maxima are the first.
      labels_.Write(ctx, 0, row, std::max_element(scores, scores + classes) - scores);
      Transform(post_, scores, classes);
      if (auto* dst = ctx.out<float>(1)) {
        for (int64_t j = 0; j < classes; ++j) dst[row * classes + j] = static_cast<float>(scores[j]);
      }
    });
  }

 private:
  Labels labels_;
  LinearModel model_;
  PostTransform post_ = PostTransform::kNone;
};

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

template <bool kLabels>
void InferScores(InferContext& ctx) {
  const Dim rows = RowsOf(ctx);
  if constexpr (kLabels) {
    const Labels labels(ctx.attrs(), "classlabels_strings", "classlabels_ints");
    ctx.SetOutput(0, labels.dtype(), {rows});
    ctx.SetOutput(1, DataType::kFloat, {rows, Dim(labels.size())});
  } else {
    const int64_t targets = ctx.attrs().Int("targets", 1);
    if (targets < 1) ctx.Fail("targets is " + std::to_string(targets));
    ctx.SetOutput(0, DataType::kFloat, {rows, Dim(targets)});
  }
}

const Operator kOperators[] = {
    MlOperator("LinearClassifier", {1}, InferScores<true>, &Make<LinearClassifierKernel>, 2),
    MlOperator("LinearRegressor", {1}, InferScores<false>, &Make<LinearRegressorKernel>),
    MlOperator("SVMRegressor", {1}, InferScores<false>, &Make<SvmRegressorKernel>),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
