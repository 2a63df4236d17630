#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/ops/params.h"

// What the models of ai.onnx.ml have in common: rows of features in, scores and labels out.

namespace sluice {

constexpr std::string_view kMlDomain = "ai.onnx.ml";
using MlTypes = TypeList<float, double, int64_t, int32_t>;
constexpr std::string_view kMlTypeNames = "float, double, int64, int32";

enum class PostTransform { kNone, kSoftmax, kLogistic, kSoftmaxZero, kProbit };

// Throws Error{kInvalidModel} for other names.
inline PostTransform PostTransformOf(const Attributes& attrs) {
  static const std::string kNames[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
  const std::string name = attrs.String("post_transform", "NONE");
  const auto found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames))
    throw Error(ErrorCode::kInvalidModel, "unknown post_transform '" + name + "'");
  return static_cast<PostTransform>(found - std::begin(kNames));
}

inline double Logistic(double x) { return 1 / (1 + std::exp(-x)); }

// The inverse of the normal distribution function; p in (0, 1).
inline double Probit(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
  // Winitzki's approximation of the inverse error function, made exact by Newton's method.
  const double y = 2 * p - 1, log = std::log1p(-y * y), a = 0.147, b = 2 / (M_PI * a) + log / 2;
  double x = std::copysign(std::sqrt(std::sqrt(b * b - log / a) - b), y);
  for (int i = 0; i < 3; ++i) x -= (std::erf(x) - y) * std::sqrt(M_PI) / 2 * std::exp(x * x);
  return std::sqrt(2.0) * x;
}

// Transforms one row of scores in place. kSoftmaxZero leaves scores of 0 as they are.
inline void Transform(PostTransform kind, double* scores, int64_t count) {
  switch (kind) {
    case PostTransform::kNone:
      return;
    case PostTransform::kLogistic:
      for (int64_t i = 0; i < count; ++i) scores[i] = Logistic(scores[i]);
      return;
    case PostTransform::kProbit:
      for (int64_t i = 0; i < count; ++i) scores[i] = Probit(scores[i]);
      return;
    case PostTransform::kSoftmax:
    case PostTransform::kSoftmaxZero:
      break;
  }
  if (count == 0) return;
  const bool keep_zeros = kind == PostTransform::kSoftmaxZero;
  const double most = *std::max_element(scores, scores + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (keep_zeros && scores[i] == 0) continue;
    scores[i] = std::exp(scores[i] - most);
    sum += scores[i];
  }
  for (int64_t i = 0; i < count && sum != 0; ++i) scores[i] /= sum;
}

// The names of classes, strings or numbers.
class Labels {
 public:
  Labels() = default;
  // `strings` and `ints` name the attributes, one of which a model has.
  Labels(const Attributes& attrs, std::string_view strings, std::string_view ints)
      : strings_(attrs.Strings(strings, {})), ints_(attrs.Ints(ints, {})) {
    if (strings_.empty() == ints_.empty())
      throw Error(ErrorCode::kInvalidModel,
                  "expected one of " + std::string(strings) + " and " + std::string(ints));
  }
  int64_t size() const { return static_cast<int64_t>(strings_.size() + ints_.size()); }
  DataType dtype() const { return strings_.empty() ? DataType::kInt64 : DataType::kString; }
  void Write(const RunContext& ctx, int output, int64_t at, int64_t label) const {
    if (ctx.out<void>(output) == nullptr) return;
    if (strings_.empty())
      ctx.out<int64_t>(output)[at] = ints_[static_cast<size_t>(label)];
    else
      ctx.out<std::string>(output)[at] = strings_[static_cast<size_t>(label)];
  }

 private:
  std::vector<std::string> strings_;
  std::vector<int64_t> ints_;
};

// The rows and columns of [N, C]; a vector is one row.
struct Rows {
  int64_t rows = 0, columns = 0;

  Rows() = default;
  template <typename Context>
  Rows(const Context& ctx, const Shape& shape) {
    if (shape.empty() || shape.size() > 2) ctx.Fail("input is " + ToString(shape) + ", expected [N, C]");
    rows = shape.size() == 2 ? shape[0] : 1;
    columns = shape.back();
  }
};

// The number of rows where only symbols are known.
inline Dim RowsOf(const InferContext& ctx) {
  if (ctx.rank(0) < 1 || ctx.rank(0) > 2)
    ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected [N, C]");
  return ctx.rank(0) == 2 ? ctx.shape(0)[0] : Dim(1);
}

// Registers with its making, at static initialisation.
inline Operator MlOperator(std::string_view name, std::vector<int> versions, void (*infer)(InferContext&),
                           KernelFactory kernel, int max_outputs = 1, std::string_view types = kMlTypeNames) {
  return {.name = name,
          .versions = std::move(versions),
          .max_outputs = max_outputs,
          .infer = infer,
          .kernels = {kernel},
          .domain = kMlDomain,
          .types = types};
}

}  // namespace sluice
