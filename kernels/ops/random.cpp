#include "kernels/random.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "kernels/dispatch.h"
#include "kernels/ops/params.h"
#include "kernels/parallel.h"

// RandomNormal, RandomUniform, RandomNormalLike, RandomUniformLike (1, 22), Bernoulli (15, 22), Multinomial
// (7, 22). With a seed every run gives the same numbers; without one none gives those of another.

namespace sluice {
namespace {

// Base of the kernels that draw numbers.
class RandomKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    if (ctx.attrs().Has("seed")) seed_ = std::bit_cast<uint32_t>(ctx.attrs().Float("seed"));
  }

 protected:
  // For one tile: without a seed every tile has numbers of its own.
  RandomNumbers Numbers() const { return seed_ ? RandomNumbers(*seed_) : RandomNumbers::Fresh(); }

 private:
  std::optional<uint32_t> seed_;
};

class FillKernel : public RandomKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    RandomKernel::Prepare(ctx);
    normal_ = ctx.node().op_type.starts_with("RandomNormal");
    offset_ = static_cast<double>(normal_ ? ctx.attrs().Float("mean", 0) : ctx.attrs().Float("low", 0));
    scale_ = normal_ ? static_cast<double>(ctx.attrs().Float("scale", 1))
                     : static_cast<double>(ctx.attrs().Float("high", 1)) - offset_;
    type_ = ctx.output(0).dtype;
    total_ = ctx.output(0).num_elements();
    if (!Contains(FloatTypes(), type_))
      ctx.Unsupported("numbers of type " + std::string(DataTypeName(type_)));
  }
  int64_t tiles() const override { return PiecesOf(total_, 8 * 1024); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(total_, tiles(), tile);
    const RandomNumbers numbers = Numbers();
    Dispatch(FloatTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* dst = ctx.out<T>(0);
      for (int64_t i = range.begin; i < range.end; ++i) {
        const auto at = static_cast<uint64_t>(i);
        const double x = normal_ ? numbers.Normal(at) : numbers.Uniform(at);
        dst[i] = static_cast<T>(static_cast<ComputeType<T>>(offset_ + scale_ * x));
      }
    });
  }

 private:
  bool normal_ = true;
  double offset_ = 0, scale_ = 1;
  DataType type_ = DataType::kUndefined;
  int64_t total_ = 0;
};

class BernoulliKernel : public RandomKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    RandomKernel::Prepare(ctx);
    src_type_ = ctx.dtype(0);
    type_ = ctx.output(0).dtype;
    total_ = ctx.output(0).num_elements();
    if (!Contains(FloatTypes(), src_type_))
      ctx.Unsupported("probabilities of type " + std::string(DataTypeName(src_type_)));
    if (!Contains(NumericTypes(), type_) && type_ != DataType::kBool)
      ctx.Unsupported("results of type " + std::string(DataTypeName(type_)));
  }
  int64_t tiles() const override { return PiecesOf(total_, 16 * 1024); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(total_, tiles(), tile);
    const RandomNumbers numbers = Numbers();
    Dispatch(FloatTypes(), src_type_, [&](auto src_tag) {
      const auto* src = ctx.in<typename decltype(src_tag)::type>(0);
      const auto draw = [&](auto tag) {
        using T = typename decltype(tag)::type;
        for (int64_t i = range.begin; i < range.end; ++i) {
          const bool one = numbers.Uniform(static_cast<uint64_t>(i)) < static_cast<double>(src[i]);
          ctx.out<T>(0)[i] = static_cast<T>(one ? 1 : 0);
        }
      };
      if (!Dispatch(NumericTypes(), type_, draw)) draw(TypeTag<bool>());
    });
  }

 private:
  DataType src_type_ = DataType::kUndefined, type_ = DataType::kUndefined;
  int64_t total_ = 0;
};

// Draws classes from rows of logarithms of probabilities, up to a common factor.
class MultinomialKernel : public RandomKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    RandomKernel::Prepare(ctx);
    type_ = ctx.dtype(0);
    wide_ = ctx.output(0).dtype == DataType::kInt64;
    rows_ = ctx.shape(0)[0];
    classes_ = ctx.shape(0)[1];
    samples_ = ctx.output(0).shape[1];
    if (!Contains(FloatTypes(), type_)) ctx.Unsupported("input of type " + std::string(DataTypeName(type_)));
    if (classes_ == 0 && rows_ * samples_ > 0) ctx.Fail("there are no classes to draw from");
    ctx.SetScratch(ByteSize(DataType::kDouble, classes_));
  }
  int64_t tiles() const override { return PiecesOf(rows_, 8 * 1024 / (classes_ + samples_ + 1) + 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(rows_, tiles(), tile);
    const RandomNumbers numbers = Numbers();
    auto* sums = ctx.scratch<double>();
    Dispatch(FloatTypes(), type_, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (int64_t row = range.begin; row < range.end && classes_ > 0; ++row) {
        const T* src = ctx.in<T>(0) + row * classes_;
        const auto most = static_cast<double>(*std::max_element(src, src + classes_));
        double sum = 0;
        for (int64_t i = 0; i < classes_; ++i) sums[i] = sum += std::exp(static_cast<double>(src[i]) - most);
        for (int64_t i = row * samples_; i < (row + 1) * samples_; ++i) {
          const double at = numbers.Uniform(static_cast<uint64_t>(i)) * sum;
          const int64_t drawn = std::min(std::upper_bound(sums, sums + classes_, at) - sums, classes_ - 1);
          if (wide_)
            ctx.out<int64_t>(0)[i] = drawn;
          else
            ctx.out<int32_t>(0)[i] = static_cast<int32_t>(drawn);
        }
      }
    });
  }

 private:
  DataType type_ = DataType::kUndefined;
  bool wide_ = false;
  int64_t rows_ = 0, classes_ = 0, samples_ = 0;
};

// Refuses at once what no machine can hold.
void SetDrawn(InferContext& ctx, DataType type, SymShape shape) {
  if (const auto concrete = ToShape(shape)) CheckMemory(ByteSize(type, NumElements(*concrete)));
  ctx.SetOutput(0, type, std::move(shape));
}

void InferFill(InferContext& ctx) {
  const auto type = static_cast<DataType>(ctx.attrs().Int("dtype", 1));
  const std::vector<int64_t>& shape = ctx.attrs().Ints("shape");
  for (int64_t size : shape) {
    if (size < 0) ctx.Fail("shape has the size " + std::to_string(size));
  }
  SetDrawn(ctx, type, ToSymShape(shape));
}

void InferLike(InferContext& ctx) {
  const auto type = static_cast<DataType>(ctx.attrs().Int("dtype", static_cast<int64_t>(ctx.dtype(0))));
  SetDrawn(ctx, type, ctx.shape(0));
}

void InferMultinomial(InferContext& ctx) {
  const auto type = static_cast<DataType>(ctx.attrs().Int("dtype", 6));
  const int64_t samples = ctx.attrs().Int("sample_size", 1);
  if (ctx.rank(0) != 2) ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected rank 2");
  if (type != DataType::kInt32 && type != DataType::kInt64)
    ctx.Fail("dtype is " + std::string(DataTypeName(type)) + ", expected int32 or int64");
  if (samples < 0) ctx.Fail("sample_size is " + std::to_string(samples));
  SetDrawn(ctx, type, {ctx.shape(0)[0], Dim(samples)});
}

Operator Define(std::string_view name, int first_version, int inputs, void (*infer)(InferContext&),
                KernelFactory kernel) {
  return {.name = name,
          .versions = {first_version, 22},
          .min_inputs = inputs,
          .max_inputs = inputs,
          .infer = infer,
          .kernels = {kernel},
          .pure = false,
          .random = true,
          .types = "float, double, float16, bfloat16"};
}

const Operator kOperators[] = {
    Define("RandomNormal", 1, 0, InferFill, &Make<FillKernel>),
    Define("RandomUniform", 1, 0, InferFill, &Make<FillKernel>),
    Define("RandomNormalLike", 1, 1, InferLike, &Make<FillKernel>),
    Define("RandomUniformLike", 1, 1, InferLike, &Make<FillKernel>),
    Define("Bernoulli", 15, 1, InferLike, &Make<BernoulliKernel>),
    Define("Multinomial", 7, 1, InferMultinomial, &Make<MultinomialKernel>),
};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
