#include "kernels/ops/ml_rows.h"

// LinearClassifier and LinearRegressor (ai.onnx.ml 1). Computed in double.

namespace sluice {
namespace {

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
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
