#include "kernels/ops/ml_tree_model.h"
#include "kernels/parallel.h"

// TreeEnsembleClassifier and TreeEnsembleRegressor (ai.onnx.ml 1, 3), TreeEnsemble (5). Computed in double.

namespace sluice {
namespace {

// Base of the three: rows of features in.
class ForestKernel : public Kernel {
 public:
  int64_t tiles() const override { return PiecesOf(rows_.rows, 4096 / (16 * model_.trees() + 1) + 1); }

 protected:
  void PrepareForest(PrepareContext& ctx, TreeModel model) {
    model_ = std::move(model);
    type_ = ctx.dtype(0);
    rows_ = Rows(ctx, ctx.shape(0));
    if (!Contains(Types(), type_)) ctx.Unsupported("features of type " + std::string(DataTypeName(type_)));
    if (rows_.rows > 0 && rows_.columns < model_.features())
      ctx.Fail("input has " + std::to_string(rows_.columns) + " features, the trees test " +
               std::to_string(model_.features()));
    scores_ = std::max<int64_t>(model_.targets(), 2);
    ctx.SetScratch(ByteSize(DataType::kUInt8, NumElements(Shape{scores_, sizeof(double) + sizeof(bool)})));
  }
  // Calls fn(row, scores), with room for two scores at least, for the rows of a tile.
  template <typename Fn>
  void ForEachRow(const RunContext& ctx, int64_t tile, TreeAggregate aggregate, const Fn& fn) const {
    const Range range = PieceOf(rows_.rows, tiles(), tile);
    auto* scores = ctx.scratch<double>();
    auto* seen = reinterpret_cast<bool*>(scores + scores_);
    Dispatch(Types(), type_, [&](auto tag) {
      const auto* src = ctx.in<typename decltype(tag)::type>(0);
      for (int64_t row = range.begin; row < range.end; ++row) {
        model_.Evaluate(aggregate, src + row * rows_.columns, scores, seen);
        fn(row, scores);
      }
    });
  }

  using Types = TypeList<float, double, int64_t, int32_t, Half>;
  TreeModel model_;
  Rows rows_;
  DataType type_ = DataType::kUndefined;

 private:
  int64_t scores_ = 0;
};

// Numbers added to the scores, one a target, or one for all; empty for none.
std::vector<double> BaseValues(const Attributes& attrs, int64_t targets) {
  std::vector<double> base;
  if (attrs.Has("base_values_as_tensor")) {
    const Tensor& tensor = attrs.TensorValue("base_values_as_tensor");
    Dispatch(FloatTypes(), tensor.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (T value : tensor.values<T>()) base.push_back(static_cast<double>(value));
    });
  } else {
    for (float value : attrs.Floats("base_values", {})) base.push_back(static_cast<double>(value));
  }
  if (base.size() > 1 && static_cast<int64_t>(base.size()) != targets)
    throw Error(ErrorCode::kInvalidModel, "base_values has " + std::to_string(base.size()) +
                                              " entries, expected " + std::to_string(targets));
  return base;
}

class RegressorKernel : public ForestKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Attributes& attrs = ctx.attrs();
    static const std::string kNames[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    const std::string name = attrs.String("aggregate_function", "SUM");
    const auto found = std::find(std::begin(kNames), std::end(kNames), name);
    if (found == std::end(kNames)) ctx.Fail("unknown aggregate_function '" + name + "'");
    aggregate_ = static_cast<TreeAggregate>(found - std::begin(kNames));
    post_ = PostTransformOf(attrs);
    const int64_t targets = attrs.Int("n_targets");
    if (targets < 1) ctx.Fail("n_targets is " + std::to_string(targets));
    base_ = BaseValues(attrs, targets);
    PrepareForest(ctx, TreeModel::FromLists(attrs, "target", targets));
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t targets = model_.targets();
    ForEachRow(ctx, tile, aggregate_, [&](int64_t row, double* scores) {
      for (int64_t i = 0; i < targets && !base_.empty(); ++i)
        scores[i] += base_[base_.size() == 1 ? 0 : static_cast<size_t>(i)];
      Transform(post_, scores, targets);
      for (int64_t i = 0; i < targets; ++i)
        ctx.out<float>(0)[row * targets + i] = static_cast<float>(scores[i]);
    });
  }

 private:
  TreeAggregate aggregate_ = TreeAggregate::kSum;
  PostTransform post_ = PostTransform::kNone;
  std::vector<double> base_;
};

class EnsembleKernel : public ForestKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const int64_t aggregate = ctx.attrs().Int("aggregate_function", 1);
    const int64_t post = ctx.attrs().Int("post_transform", 0);
    if (aggregate < 0 || aggregate > 3) ctx.Fail("unknown aggregate_function " + std::to_string(aggregate));
    if (post < 0 || post > 4) ctx.Fail("unknown post_transform " + std::to_string(post));
    aggregate_ = static_cast<TreeAggregate>(aggregate);
    post_ = static_cast<PostTransform>(post);
    PrepareForest(ctx, TreeModel::FromTables(ctx.attrs()));
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t targets = model_.targets();
    ForEachRow(ctx, tile, aggregate_, [&](int64_t row, double* scores) {
      Transform(post_, scores, targets);
      Dispatch(FloatTypes(), type_, [&](auto tag) {
        using T = typename decltype(tag)::type;
        for (int64_t i = 0; i < targets; ++i)
          ctx.out<T>(0)[row * targets + i] = static_cast<T>(static_cast<ComputeType<T>>(scores[i]));
      });
    });
  }

 private:
  TreeAggregate aggregate_ = TreeAggregate::kSum;
  PostTransform post_ = PostTransform::kNone;
};

// Where two classes have one score s for the second, the first's is 1 - s if s is a probability (no weight is
// negative, and no logistic function makes one of it) and -s otherwise.
class ClassifierKernel : public ForestKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Attributes& attrs = ctx.attrs();
    labels_ = Labels(attrs, "classlabels_strings", "classlabels_int64s");
    post_ = PostTransformOf(attrs);
    TreeModel model = TreeModel::FromLists(attrs, "class", labels_.size());
    lone_ = labels_.size() == 2 ? model.only_target() : -1;
    probability_ = model.smallest_weight() >= 0;
    base_ = BaseValues(attrs, labels_.size());
    base_.resize(static_cast<size_t>(labels_.size()), base_.empty() ? 0 : base_.back());
    PrepareForest(ctx, std::move(model));
  }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t classes = labels_.size();
    ForEachRow(ctx, tile, TreeAggregate::kSum, [&](int64_t row, double* scores) {
      int64_t label = 0;
      if (lone_ >= 0) {
        const double score = scores[lone_] + base_[1];
        label = score > (probability_ ? 0.5 : 0) ? 1 : 0;
        const bool complement = probability_ && post_ != PostTransform::kLogistic;
        scores[0] = complement ? 1 - score : -score;
        scores[1] = score;
        if (!complement || post_ == PostTransform::kProbit) Transform(post_, scores, 2);
      } else {
        for (int64_t i = 0; i < classes; ++i) scores[i] += base_[static_cast<size_t>(i)];
        label = std::max_element(scores, scores + classes) - scores;
        Transform(post_, scores, classes);
      }
      labels_.Write(ctx, 0, row, label);
      if (auto* dst = ctx.out<float>(1)) {
        for (int64_t i = 0; i < classes; ++i) dst[row * classes + i] = static_cast<float>(scores[i]);
      }
    });
  }

 private:
  Labels labels_;
  PostTransform post_ = PostTransform::kNone;
  int64_t lone_ = -1;
  bool probability_ = false;
  std::vector<double> base_;
};

void InferClassifier(InferContext& ctx) {
  const Labels labels(ctx.attrs(), "classlabels_strings", "classlabels_int64s");
  const Dim rows = RowsOf(ctx);
  ctx.SetOutput(0, labels.dtype(), {rows});
  ctx.SetOutput(1, DataType::kFloat, {rows, Dim(labels.size())});
}
void InferRegressor(InferContext& ctx) {
  ctx.SetOutput(0, DataType::kFloat, {RowsOf(ctx), Dim(std::max<int64_t>(ctx.attrs().Int("n_targets"), 0))});
}
void InferEnsemble(InferContext& ctx) {
  if (!Contains(TypeList<float, double, Half>(), ctx.dtype(0)))
    ctx.Fail("input is " + std::string(DataTypeName(ctx.dtype(0))) + ", expected float, double or float16");
  ctx.SetOutput(0, ctx.dtype(0), {RowsOf(ctx), Dim(std::max<int64_t>(ctx.attrs().Int("n_targets", 1), 0))});
}

const Operator kOperators[] = {
    MlOperator("TreeEnsembleClassifier", {1, 3}, InferClassifier, &Make<ClassifierKernel>, 2),
    MlOperator("TreeEnsembleRegressor", {1, 3}, InferRegressor, &Make<RegressorKernel>),
    MlOperator("TreeEnsemble", {5}, InferEnsemble, &Make<EnsembleKernel>, 1, "float, double, float16"),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
