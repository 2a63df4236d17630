#include <cmath>

#include "kernels/ops/axis_lines.h"
#include "kernels/ops/typed_kernel.h"

// LayerNormalization (17): y = (x - mean) / sqrt(variance + epsilon) * scale + bias over the axes of x from
// `axis` on; outputs 1 and 2 are the mean and 1 / sqrt(variance + epsilon).
// RMSNormalization (23): y = x / sqrt(mean of x^2 + epsilon) * scale.

namespace sluice {
namespace {

// How scale or bias lie over a line: the index of every element's parameter. Empty where it is the element's.
template <typename Context>
std::vector<int64_t> ParameterMap(const Context& ctx, int input, const Shape& line) {
  const Shape& shape = ctx.shape(input);
  const size_t trailing = std::min(shape.size(), line.size());
  bool same = NumElements(shape) == NumElements(line), fits = true;
  for (size_t i = 1; i <= shape.size(); ++i) {
    const int64_t size = shape[shape.size() - i];
    const int64_t wanted = i <= trailing ? line[line.size() - i] : 1;
    same &= size == wanted;
    fits &= size == wanted || size == 1;
  }
  if (!fits)
    ctx.Fail("input " + std::to_string(input) + " is " + ToString(shape) + ", which does not broadcast to " +
             ToString(line));
  std::vector<int64_t> map;
  for (int64_t i = 0; !same && i < NumElements(line); ++i) {
    int64_t rest = i, at = 0, step = 1;
    for (size_t k = 1; k <= line.size(); ++k) {
      const int64_t position = rest % line[line.size() - k];
      rest /= line[line.size() - k];
      if (k > shape.size()) continue;
      const int64_t size = shape[shape.size() - k];
      if (size != 1) at += position * step;
      step *= size;
    }
    map.push_back(at);
  }
  return map;
}

// Scratch: scale and bias of a line in T's arithmetic type.
template <typename T, bool kCentred>
class RowNormOf : public Kernel {
  using Sum = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape& shape = ctx.shape(0);
    const int64_t axis = CheckedAxis(ctx, ctx.attrs().Int("axis", -1), static_cast<int64_t>(shape.size()));
    const Shape line(shape.begin() + axis, shape.end());
    AxisSplit split;
    split.size = NumElements(line);
    for (int64_t i = 0; i < axis; ++i) split.outer *= shape[static_cast<size_t>(i)];
    lines_ = AxisLines(split);
    epsilon_ = static_cast<double>(ctx.attrs().Float("epsilon", 1e-5f));
    for (int i = 1; i < 3; ++i) {
      if (!ctx.has_input(i)) continue;
      maps_[i] = ParameterMap(ctx, i, line);
      copies_[i] = !maps_[i].empty() || !std::is_same_v<T, Sum>;
    }
    ctx.SetScratch(copies_[1] || copies_[2] ? 2 * split.size * static_cast<int64_t>(sizeof(Sum)) : 0);
    ctx.AllowInPlace(0, 0);
    if (ctx.num_outputs() > 1) stash_ = ctx.output(ctx.has_output(1) ? 1 : ctx.num_outputs() - 1).dtype;
  }
  int64_t tiles() const override { return lines_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t n = lines_.length();
    const Sum *scale = ParameterOf(ctx, 1), *bias = ParameterOf(ctx, 2);
    lines_.ForEachUnit(tile, [&](int64_t at, const FoldBox& box) {
      const T* src = ctx.in<T>(0) + at;
      T* dst = ctx.out<T>(0) + at;
      double mean[AxisLines::kMaxLines] = {}, factor[AxisLines::kMaxLines] = {};
      if (kCentred) {
        MomentsOf(src, box, mean, factor);
      } else {
        FoldBoxInto<Fold::kSumSquare>(src, box, nullptr, factor);
        for (int64_t j = 0; j < box.count; ++j) factor[j] /= static_cast<double>(n);
      }
      for (int64_t j = 0; j < box.count; ++j) {
        factor[j] = 1 / std::sqrt(factor[j] + epsilon_);
        const Sum m = static_cast<Sum>(mean[j]), f = static_cast<Sum>(factor[j]);
        if constexpr (std::is_same_v<T, float>) {
          ScaleRow(src + j * n, n, m, f, scale, bias, dst + j * n);
        } else {
          for (int64_t i = 0; i < n; ++i) {
            Sum y = (static_cast<Sum>(src[j * n + i]) - m) * f * scale[i];
            if (bias != nullptr) y += bias[i];
            dst[j * n + i] = static_cast<T>(y);
          }
        }
      }
      Store(ctx, 1, at / n, mean, box.count);
      Store(ctx, 2, at / n, factor, box.count);
    });
  }

 private:
  const Sum* ParameterOf(const RunContext& ctx, int input) const {
    const T* from = ctx.in<T>(input);
    if (from == nullptr) return nullptr;
    if constexpr (std::is_same_v<T, Sum>) {
      if (!copies_[input]) return from;
    }
    const std::vector<int64_t>& map = maps_[input];
    Sum* to = ctx.scratch<Sum>() + (input - 1) * lines_.length();
    for (int64_t i = 0; i < lines_.length(); ++i)
      to[i] = static_cast<Sum>(from[map.empty() ? i : map[static_cast<size_t>(i)]]);
    return to;
  }

  void Store(const RunContext& ctx, int output, int64_t first, const double* values, int64_t count) const {
    void* data = ctx.out<void>(output);
    if (data == nullptr) return;
    Dispatch(FloatTypes(), stash_, [&](auto tag) {
      using U = typename decltype(tag)::type;
      for (int64_t j = 0; j < count; ++j) static_cast<U*>(data)[first + j] = Saturated<U>(values[j]);
    });
  }

  AxisLines lines_;
  double epsilon_ = 1e-5;
  std::vector<int64_t> maps_[3];
  bool copies_[3] = {};
  DataType stash_ = DataType::kFloat;
};

template <typename T>
using LayerNormOf = RowNormOf<T, true>;
template <typename T>
using RmsNormOf = RowNormOf<T, false>;

void InferRowNorm(InferContext& ctx) {
  CheckSameType(ctx);
  const int64_t axis = ctx.Axis(ctx.attrs().Int("axis", -1), ctx.rank(0));
  InferSameAsFirst(ctx);
  if (ctx.num_outputs() == 1) return;
  const int64_t type = ctx.attrs().Int("stash_type", 1);
  const auto stash = static_cast<DataType>(type);
  if (type != static_cast<int64_t>(stash) || !Contains(FloatTypes(), stash))
    ctx.Fail("stash_type is " + std::to_string(type) + ", expected a float type");
  SymShape shape = ctx.shape(0);
  std::fill(shape.begin() + axis, shape.end(), Dim(1));
  for (int i = 1; i < ctx.num_outputs(); ++i) ctx.SetOutput(i, stash, shape);
}

const Operator kLayerNorm = {.name = "LayerNormalization",
                             .versions = {17},
                             .min_inputs = 2,
                             .max_inputs = 3,
                             .max_outputs = 3,
                             .infer = InferRowNorm,
                             .kernels = {&Make<TypedKernel<LayerNormOf>>},
                             .types = "float, double, float16, bfloat16"};
const Operator kRmsNorm = {.name = "RMSNormalization",
                           .versions = {23},
                           .min_inputs = 2,
                           .max_inputs = 2,
                           .infer = InferRowNorm,
                           .kernels = {&Make<TypedKernel<RmsNormOf>>},
                           .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister[] = {RegisterOperator(kLayerNorm), RegisterOperator(kRmsNorm)};

}  // namespace
}  // namespace sluice
