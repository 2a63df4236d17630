#include "kernels/ops/indices.h"
#include "kernels/ops/ml_scores.h"
#include "kernels/parallel.h"

// ArrayFeatureExtractor, Binarizer, FeatureVectorizer, Imputer, Normalizer, Scaler (ai.onnx.ml 1).

namespace sluice {
namespace {

// Base of what maps elements one by one, each by its column: In -> Out.
template <typename Derived>
class ColumnKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    if (!Contains(MlTypes(), type_)) ctx.Unsupported("elements of type " + std::string(DataTypeName(type_)));
    total_ = NumElements(ctx.shape(0));
    columns_ = ctx.shape(0).empty() ? 1 : ctx.shape(0).back();
  }
  int64_t tiles() const override { return PiecesOf(total_, 16 * 1024); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(total_, tiles(), tile);
    Dispatch(MlTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using Out = typename Derived::template Out<T>;
      const T* src = ctx.in<T>(0);
      Out* dst = ctx.out<Out>(0);
      for (int64_t i = range.begin; i < range.end; ++i)
        dst[i] = static_cast<const Derived*>(this)->Map(src[i], i % columns_);
    });
  }

 protected:
  // A list with one entry for all columns or one for each.
  template <typename T>
  void CheckList(const PrepareContext& ctx, const std::vector<T>& list, const std::string& name) const {
    if (list.size() != 1 && static_cast<int64_t>(list.size()) != columns_)
      ctx.Fail(name + " has " + std::to_string(list.size()) + " entries, expected 1 or " +
               std::to_string(columns_));
  }
  template <typename T>
  static T Of(const std::vector<T>& list, int64_t column) {
    return list[list.size() == 1 ? 0 : static_cast<size_t>(column)];
  }

  DataType type_ = DataType::kUndefined;

 private:
  int64_t total_ = 0, columns_ = 1;
};

class BinarizerKernel : public ColumnKernel<BinarizerKernel> {
 public:
  template <typename T>
  using Out = T;
  void Prepare(PrepareContext& ctx) override {
    ColumnKernel::Prepare(ctx);
    threshold_ = static_cast<double>(ctx.attrs().Float("threshold", 0));
  }
  template <typename T>
  T Map(T x, int64_t) const {
    return static_cast<double>(x) > threshold_ ? T(1) : T(0);
  }

 private:
  double threshold_ = 0;
};

class ScalerKernel : public ColumnKernel<ScalerKernel> {
 public:
  template <typename T>
  using Out = float;
  void Prepare(PrepareContext& ctx) override {
    ColumnKernel::Prepare(ctx);
    offset_ = ctx.attrs().Floats("offset", {0});
    scale_ = ctx.attrs().Floats("scale", {1});
    CheckList(ctx, offset_, "offset");
    CheckList(ctx, scale_, "scale");
  }
  template <typename T>
  float Map(T x, int64_t column) const {
    return static_cast<float>((static_cast<double>(x) - static_cast<double>(Of(offset_, column))) *
                              static_cast<double>(Of(scale_, column)));
  }

 private:
  std::vector<float> offset_, scale_;
};

// Floats are replaced by imputed_value_floats, integers by imputed_value_int64s.
class ImputerKernel : public ColumnKernel<ImputerKernel> {
 public:
  template <typename T>
  using Out = T;
  void Prepare(PrepareContext& ctx) override {
    ColumnKernel::Prepare(ctx);
    if (type_ == DataType::kFloat || type_ == DataType::kDouble) {
      replaced_ = static_cast<double>(ctx.attrs().Float("replaced_value_float", 0));
      floats_ = ctx.attrs().Floats("imputed_value_floats");
      CheckList(ctx, floats_, "imputed_value_floats");
    } else {
      replaced_int_ = ctx.attrs().Int("replaced_value_int64", 0);
      ints_ = ctx.attrs().Ints("imputed_value_int64s");
      CheckList(ctx, ints_, "imputed_value_int64s");
    }
  }
  template <typename T>
  T Map(T x, int64_t column) const {
    if constexpr (std::is_integral_v<T>) {
      return x == replaced_int_ ? static_cast<T>(Of(ints_, column)) : x;
    } else {
      const bool found = std::isnan(replaced_) ? std::isnan(x) : static_cast<double>(x) == replaced_;
      return found ? static_cast<T>(Of(floats_, column)) : x;
    }
  }

 private:
  double replaced_ = 0;
  int64_t replaced_int_ = 0;
  std::vector<float> floats_;
  std::vector<int64_t> ints_;
};

// Divides each row by its maximum, the sum of its absolute values or the root of that of its squares, unless
// that is 0.
class NormalizerKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    rows_ = Rows(ctx, ctx.shape(0));
    norm_ = ctx.attrs().String("norm", "MAX");
    if (norm_ != "MAX" && norm_ != "L1" && norm_ != "L2") ctx.Fail("unknown norm '" + norm_ + "'");
    if (!Contains(MlTypes(), type_)) ctx.Unsupported("elements of type " + std::string(DataTypeName(type_)));
  }
  int64_t tiles() const override { return PiecesOf(rows_.rows, 16 * 1024 / (rows_.columns + 1) + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(rows_.rows, tiles(), tile);
    Dispatch(MlTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t row = range.begin; row < range.end; ++row) {
        const T* src = ctx.in<T>(0) + row * rows_.columns;
        float* dst = ctx.out<float>(0) + row * rows_.columns;
        double norm = norm_ == "MAX" && rows_.columns > 0 ? static_cast<double>(src[0]) : 0;
        for (int64_t i = 0; i < rows_.columns; ++i) {
          const auto x = static_cast<double>(src[i]);
          norm = norm_ == "MAX" ? std::max(norm, x) : norm + (norm_ == "L1" ? std::abs(x) : x * x);
        }
        if (norm_ == "L2") norm = std::sqrt(norm);
        if (norm == 0) norm = 1;
        for (int64_t i = 0; i < rows_.columns; ++i)
          dst[i] = static_cast<float>(static_cast<double>(src[i]) / norm);
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  Rows rows_;
  std::string norm_;
};

// Columns of the last axis, by index.
class ArrayFeatureExtractorKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(0);
    CheckMovable(ctx, type_);
    indices_ = Indices(ctx, 1);
    columns_ = ctx.shape(0).back();
    rows_ = NumElements(std::span(ctx.shape(0)).first(ctx.shape(0).size() - 1));
    count_ = NumElements(ctx.shape(1));
  }
  void Run(const RunContext& ctx, int64_t) const override {
    DispatchBySize(type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t i = 0; i < count_; ++i) {
        const int64_t column = indices_.At(ctx, i, columns_);
        for (int64_t row = 0; row < rows_; ++row)
          ctx.out<T>(0)[row * count_ + i] = ctx.in<T>(0)[row * columns_ + column];
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  Indices indices_;
  int64_t rows_ = 0, columns_ = 0, count_ = 0;
};

// The columns of all inputs side by side, as floats.
class FeatureVectorizerKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    for (int i = 0; i < ctx.num_inputs(); ++i) {
      const Rows part(ctx, ctx.shape(i));
      if (!Contains(MlTypes(), ctx.dtype(i)))
        ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(i))));
      parts_.push_back({ctx.dtype(i), part.columns, columns_});
      columns_ += part.columns;
      rows_ = part.rows;
    }
  }
  void Run(const RunContext& ctx, int64_t) const override {
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Part& part = parts_[i];
      Dispatch(MlTypes(), part.type, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T* src = ctx.in<T>(static_cast<int>(i));
        for (int64_t row = 0; row < rows_; ++row) {
          for (int64_t j = 0; j < part.columns; ++j)
            ctx.out<float>(0)[row * columns_ + part.begin + j] =
                static_cast<float>(src[row * part.columns + j]);
        }
      });
    }
  }

 private:
  struct Part {
    DataType type;
    int64_t columns, begin;
  };
  std::vector<Part> parts_;
  int64_t rows_ = 0, columns_ = 0;
};

void InferFloats(InferContext& ctx) { ctx.SetOutput(0, DataType::kFloat, ctx.shape(0)); }

void InferArrayFeatureExtractor(InferContext& ctx) {
  if (ctx.rank(0) == 0) ctx.Fail("input is a scalar");
  SymShape shape = ctx.shape(0);
  shape.back() = 1;
  for (const Dim& dim : ctx.shape(1)) shape.back() = shape.back() * dim;
  if (ctx.rank(0) == 1) shape.insert(shape.begin(), Dim(1));
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

void InferFeatureVectorizer(InferContext& ctx) {
  const auto widths = ctx.attrs().Ints("inputdimensions", {});
  if (!widths.empty() && static_cast<int>(widths.size()) != ctx.num_inputs())
    ctx.Fail("inputdimensions has " + std::to_string(widths.size()) + " entries, expected " +
             std::to_string(ctx.num_inputs()));
  const Dim rows = RowsOf(ctx);
  Dim columns = 0;
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const SymShape& part = ctx.shape(i);
    if (part.empty() || part.size() > 2)
      ctx.Fail("input " + std::to_string(i) + " is " + ToString(part) + ", expected [N, C]");
    const Dim own = part.size() == 2 ? part[0] : Dim(1);
    if (own.known() && rows.known() && !(own == rows))
      ctx.Fail("input " + std::to_string(i) + " is " + ToString(part) + ", input 0 has " +
               std::to_string(rows.value()) + " rows");
    const Dim& width = part.back();
    if (!widths.empty() && width.known() && !width.is(widths[static_cast<size_t>(i)]))
      ctx.Fail("input " + std::to_string(i) + " is " + ToString(part) + ", inputdimensions says " +
               std::to_string(widths[static_cast<size_t>(i)]) + " columns");
    columns = columns + width;
  }
  ctx.SetOutput(0, DataType::kFloat, {rows, columns});
}

Operator WithInputs(Operator op, int min, int max) {
  op.min_inputs = min;
  op.max_inputs = max;
  return op;
}

const Operator kOperators[] = {
    WithInputs(MlOperator("ArrayFeatureExtractor", {1}, InferArrayFeatureExtractor,
                          &Make<ArrayFeatureExtractorKernel>, 1, "all"),
               2, 2),
    MlOperator("Binarizer", {1}, InferSameAsFirst, &Make<BinarizerKernel>),
    WithInputs(MlOperator("FeatureVectorizer", {1}, InferFeatureVectorizer, &Make<FeatureVectorizerKernel>),
               1, Operator::kMany),
    MlOperator("Imputer", {1}, InferSameAsFirst, &Make<ImputerKernel>),
    MlOperator("Normalizer", {1}, InferFloats, &Make<NormalizerKernel>),
    MlOperator("Scaler", {1}, InferFloats, &Make<ScalerKernel>),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
