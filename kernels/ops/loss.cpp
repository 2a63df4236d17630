#include "kernels/dispatch.h"
#include "kernels/forwarding_kernel.h"
#include "kernels/ops/params.h"
#include "sluice/error.h"

// NegativeLogLikelihoodLoss (12, 13, 22): inputs log probabilities [n, classes, d...], target [n, d...] of
// class numbers and, optionally, a weight for each class. SoftmaxCrossEntropyLoss (12, 13): the same of
// scores whose log softmax along the classes it takes itself, and returns as a second output. `reduction` is
// none, sum or mean, which divides by the sum of the weights. Targets equal to ignore_index count for
// nothing.

namespace sluice {
namespace {

enum class Reduction : uint8_t { kNone, kSum, kMean };

template <typename Context>
Reduction ReductionOf(const Context& ctx) {
  const std::string name = ctx.attrs().String("reduction", "mean");
  if (name == "none") return Reduction::kNone;
  if (name == "sum") return Reduction::kSum;
  if (name != "mean") ctx.Fail("reduction is '" + name + "', expected none, sum or mean");
  return Reduction::kMean;
}

void InferLoss(InferContext& ctx) {
  const SymShape &x = ctx.shape(0), &target = ctx.shape(1);
  if (x.size() < 2) ctx.Fail("input 0 has rank " + std::to_string(x.size()) + ", expected at least 2");
  SymShape expected = x;
  expected.erase(expected.begin() + 1);
  bool fits = target.size() == expected.size();
  for (size_t i = 0; fits && i < target.size(); ++i) {
    fits = !target[i].known() || !expected[i].known() || target[i].value() == expected[i].value();
  }
  if (!fits) ctx.Fail("input 1 is " + ToString(target) + ", expected " + ToString(expected));
  if (!Contains(IndexTypes(), ctx.dtype(1))) {
    ctx.Fail("input 1 is " + std::string(DataTypeName(ctx.dtype(1))) + ", expected int32 or int64");
  }
  if (ctx.has_input(2)) {
    const SymShape& weight = ctx.shape(2);
    if (ctx.dtype(2) != ctx.dtype(0)) {
      ctx.Fail("input 2 is " + std::string(DataTypeName(ctx.dtype(2))) + ", expected " +
               std::string(DataTypeName(ctx.dtype(0))));
    }
    if (weight.size() != 1 || (weight[0].known() && x[1].known() && weight[0].value() != x[1].value())) {
      ctx.Fail("input 2 is " + ToString(weight) + ", expected one weight for each of " +
               ToString(SymShape{x[1]}) + " classes");
    }
  }
  ctx.SetOutput(0, ctx.dtype(0), ReductionOf(ctx) == Reduction::kNone ? expected : SymShape());
  ctx.SetOutput(1, ctx.dtype(0), x);
}

// Sums are taken in double, in order: one tile.
template <typename T, bool kSoftmax>
class Loss : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& shape = ctx.shape(0);
    n_ = shape[0];
    classes_ = shape[1];
    inner_ = NumElements({shape.data() + 2, shape.size() - 2});
    reduction_ = ReductionOf(ctx);
    wide_ = ctx.dtype(1) == DataType::kInt64;
    has_ignored_ = ctx.attrs().Has("ignore_index");
    ignored_ = ctx.attrs().Int("ignore_index", 0);
    place_ = Describe(ctx.node());
  }

  void Run(const RunContext& ctx, int64_t) const override {
    const T *x = ctx.in<T>(0), *weights = ctx.in<T>(2);
    T* const loss = ctx.out<T>(0);
    double sum = 0, weight_sum = 0;
    for (int64_t i = 0; i < n_ * inner_; ++i) {
      const int64_t at = i / inner_ * classes_ * inner_ + i % inner_;
      const double shift = kSoftmax ? LogSumExp(x + at) : 0;
      if (T* log_prob = ctx.out<T>(1); kSoftmax && log_prob != nullptr) {
        for (int64_t c = 0; c < classes_; ++c) {
          log_prob[at + c * inner_] = static_cast<T>(static_cast<float>(Element(x, at, c) - shift));
        }
      }
      const int64_t target = wide_ ? ctx.in<int64_t>(1)[i] : ctx.in<int32_t>(1)[i];
      double weight = 0, value = 0;
      if (!has_ignored_ || target != ignored_) {
        if (target < 0 || target >= classes_) {
          throw Error(ErrorCode::kInvalidArgument, place_ + ": target is " + std::to_string(target) +
                                                       ", expected at least 0 and less than " +
                                                       std::to_string(classes_));
        }
        weight = weights == nullptr ? 1 : static_cast<double>(weights[target]);
        value = weight * (shift - Element(x, at, target));
      }
      if (reduction_ == Reduction::kNone && loss != nullptr) loss[i] = Rounded(value);
      sum += value;
      weight_sum += weight;
    }
    if (reduction_ == Reduction::kNone || loss == nullptr) return;
    *loss = Rounded(reduction_ == Reduction::kMean ? sum / weight_sum : sum);
  }

 private:
  static T Rounded(double value) {
    if constexpr (std::is_same_v<T, double>)
      return value;
    else
      return static_cast<T>(static_cast<float>(value));
  }
  double Element(const T* x, int64_t at, int64_t c) const { return static_cast<double>(x[at + c * inner_]); }
  double LogSumExp(const T* x) const {
    double high = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t c = 0; c < classes_; ++c) high = std::max(high, Element(x, 0, c));
    if (!std::isfinite(high)) return high;
    for (int64_t c = 0; c < classes_; ++c) sum += std::exp(Element(x, 0, c) - high);
    return high + std::log(sum);
  }

  int64_t n_ = 0, classes_ = 0, inner_ = 1, ignored_ = 0;
  Reduction reduction_ = Reduction::kMean;
  bool wide_ = true, has_ignored_ = false;
  std::string place_;
};

template <bool kSoftmax>
class LossKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(FloatTypes(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<Loss<typename decltype(tag)::type, kSoftmax>>();
    });
    if (!known) ctx.Decline("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
};

const Operator kNll = {
    .name = "NegativeLogLikelihoodLoss",
    .versions = {12, 13, 22},
    .min_inputs = 2,
    .max_inputs = 3,
    .infer = InferLoss,
    .kernels = {&Make<LossKernel<false>>},
    .types = "float, double, float16, bfloat16",
};
const Operator kCrossEntropy = {
    .name = "SoftmaxCrossEntropyLoss",
    .versions = {12, 13},
    .min_inputs = 2,
    .max_inputs = 3,
    .max_outputs = 2,
    .infer = InferLoss,
    .kernels = {&Make<LossKernel<true>>},
    .types = "float, double, float16, bfloat16",
};
const RegisterOperator kRegister[] = {RegisterOperator(kNll), RegisterOperator(kCrossEntropy)};

}  // namespace
}  // namespace sluice
