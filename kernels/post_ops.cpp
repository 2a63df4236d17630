#include "kernels/post_ops.h"

#include <array>

#include "kernels/dispatch.h"
#include "kernels/simd/post_ops.h"

namespace sluice {
namespace {

using Kind = PostOp::Kind;

// Values are worked on in runs of this many, to keep an operand's in a small buffer.
constexpr int64_t kRun = 64;

template <typename T, typename Fn>
void Each(T* x, int64_t n, Fn fn) {
  for (int64_t i = 0; i < n; ++i) x[i] = fn(x[i]);
}

template <typename T>
T Sigmoid(T x) {
  // exp of a negative number only: no overflow.
  const T e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

template <typename T>
T Softplus(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

template <typename T>
void Unary(const PostOp& op, T* x, int64_t n) {
  const T a = op.alpha, b = op.beta;
  switch (op.kind) {
    case Kind::kLeakyRelu: return Each(x, n, [a](T v) { return v >= 0 ? v : a * v; });
    case Kind::kRelu: return Each(x, n, [](T v) { return v < 0 ? T(0) : v; });
    case Kind::kClip: return Each(x, n, [a, b](T v) { v = v < a ? a : v; return v > b ? b : v; });
    case Kind::kSigmoid: return Each(x, n, [](T v) { return (Sigmoid(v) - T(0.5)) + T(0.5); });  // as kernels/ops/activation.cpp
    case Kind::kSilu: return Each(x, n, [a](T v) { return v * Sigmoid(a * v); });
    case Kind::kHardSigmoid:
      return Each(x, n, [a, b](T v) { v = a * v + b; v = v < 0 ? T(0) : v; return v > 1 ? T(1) : v; });
    case Kind::kHardSwish:
      return Each(x, n, [a, b](T v) { T g = a * v + b; g = g < 0 ? T(0) : g; return v * (g > 1 ? T(1) : g); });
    case Kind::kTanh: return Each(x, n, [](T v) { return std::tanh(v); });
    case Kind::kElu: return Each(x, n, [a](T v) { return v < 0 ? a * std::expm1(v) : v; });
    case Kind::kMish: return Each(x, n, [](T v) { return v * std::tanh(Softplus(v)); });
    case Kind::kGeluErf: return Each(x, n, [](T v) { return v / 2 * (1 + std::erf(v * T(0.70710678118654752))); });
    case Kind::kGeluTanh:
      return Each(x, n, [](T v) {
        return v / 2 * (1 + std::tanh(T(0.79788456080286536) * (v + T(0.044715) * v * v * v)));
      });
    case Kind::kLinear: return Each(x, n, [a, b](T v) { return a * v + b; });
    case Kind::kAbs: return Each(x, n, [](T v) { return std::abs(v); });
    case Kind::kExp: return Each(x, n, [](T v) { return std::exp(v); });
    case Kind::kSqrt: return Each(x, n, [](T v) { return std::sqrt(v); });
    case Kind::kSquare: return Each(x, n, [](T v) { return v * v; });
    case Kind::kPRelu:
    case Kind::kAdd:
    case Kind::kMul: return;
  }
}

// x[i] op y[i * step], step 0 or 1.
template <typename T>
void Binary(Kind kind, T* x, const T* y, int64_t step, int64_t n) {
  const auto each = [&](auto fn) {
    if (step == 0) {
      const T value = y[0];
      for (int64_t i = 0; i < n; ++i) x[i] = fn(x[i], value);
    } else {
      for (int64_t i = 0; i < n; ++i) x[i] = fn(x[i], y[i]);
    }
  };
  if (kind == Kind::kAdd) return each([](T a, T b) { return a + b; });
  if (kind == Kind::kMul) return each([](T a, T b) { return a * b; });
  each([](T a, T b) { return a >= 0 ? a : a * b; });
}

// `count` elements from index `at`, `step` apart.
template <typename Sum>
void Load(DataType type, const void* data, int64_t at, int64_t step, int64_t count, Sum* to) {
  Dispatch(FloatTypes(), type, [&](auto tag) {
    const auto* from = static_cast<const typename decltype(tag)::type*>(data) + at;
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<Sum>(from[i * step]);
  });
}

}  // namespace

PostOpRunner::PostOpRunner(const PrepareContext& ctx, size_t first) {
  if (first >= ctx.post_ops().size()) return;
  shape_ = ctx.output(0).shape;
  for (size_t i = first; i < ctx.post_ops().size(); ++i) {
    Step step{ctx.post_ops()[i], DataType::kUndefined, {}};
    if (step.op.operand >= 0) {
      const TensorDesc& operand = ctx.input(step.op.operand);
      if (!Contains(FloatTypes(), operand.dtype)) ctx.Decline("a post-op's operand is no float tensor");
      if (operand.shape.size() > shape_.size()) ctx.Decline("a post-op's operand has more axes than the output");
      const size_t lead = shape_.size() - operand.shape.size();
      step.dtype = operand.dtype;
      step.strides.assign(shape_.size(), 0);
      int64_t stride = 1;
      for (size_t axis = shape_.size(); axis-- > lead;) {
        const int64_t size = operand.shape[axis - lead];
        if (size != 1 && size != shape_[axis]) ctx.Decline("a post-op's operand does not broadcast to the output");
        step.strides[axis] = size == 1 ? 0 : stride;
        stride *= size;
      }
    }
    steps_.push_back(std::move(step));
  }
}

int64_t PostOpRunner::OperandIndex(const Step& step, int64_t position) const {
  int64_t index = 0;
  for (size_t axis = shape_.size(); axis-- > 0;) {
    index += position % shape_[axis] * step.strides[axis];
    position /= shape_[axis];
  }
  return index;
}

PostOpRunner::Piece PostOpRunner::Lines(int64_t begin, int64_t count) const {
  if (shape_.empty()) return {.begin = begin, .rows = count, .row_step = 1, .cols = 1, .ld = 1};
  const int64_t line = shape_.back();
  return {.begin = begin, .rows = line == 0 ? 0 : count / line, .row_step = line, .cols = line, .ld = line,
          .axis = shape_.size() - 1};
}

PostOpRunner::Piece PostOpRunner::Block(int64_t n, int64_t c, int64_t channels, int64_t pixel, int64_t pixels,
                                        int64_t ld) const {
  int64_t spatial = 1;
  for (size_t i = 2; i < shape_.size(); ++i) spatial *= shape_[i];
  return {.begin = (n * shape_[1] + c) * spatial + pixel, .rows = pixels, .row_step = 1, .cols = channels,
          .ld = ld, .axis = 1};
}

// Floats in vectors, if the operand is none or floats that are one number or side by side in every row.
bool PostOpRunner::ApplyVectors(const RunContext& ctx, const Step& step, float* values, const Piece& piece) const {
  if (step.op.operand < 0) {
    const bool dense = piece.ld == piece.cols;
    for (int64_t r = 0; r < (dense ? 1 : piece.rows); ++r) {
      float* row = values + r * piece.ld;
      MapFloats(step.op, row, dense ? piece.rows * piece.cols : piece.cols, row);
    }
    return true;
  }
  const int64_t stride = piece.axis < step.strides.size() ? step.strides[piece.axis] : 0;
  if (step.dtype != DataType::kFloat || stride > 1) return false;
  for (int64_t r = 0; r < piece.rows; ++r) {
    const float* operand = ctx.in<float>(step.op.operand) + OperandIndex(step, piece.begin + r * piece.row_step);
    CombineFloats(step.op.kind, values + r * piece.ld, operand, stride == 0 ? 1 : piece.cols, piece.cols);
  }
  return true;
}

template <typename Sum>
void PostOpRunner::Apply(const RunContext& ctx, Sum* values, const Piece& piece) const {
  std::array<Sum, kRun> operand;
  for (const Step& step : steps_) {
    if constexpr (std::is_same_v<Sum, float>) {
      if (ApplyVectors(ctx, step, values, piece)) continue;
    }
    if (step.op.operand < 0) {
      for (int64_t r = 0; r < piece.rows; ++r) Unary(step.op, values + r * piece.ld, piece.cols);
      continue;
    }
    const void* data = ctx.in<void>(step.op.operand);
    const int64_t stride = piece.axis < step.strides.size() ? step.strides[piece.axis] : 0;
    int64_t loaded = -1;  // the index that the buffer begins with
    for (int64_t r = 0; r < piece.rows; ++r) {
      const int64_t at = OperandIndex(step, piece.begin + r * piece.row_step);
      for (int64_t j = 0; j < piece.cols; j += kRun) {
        const int64_t count = std::min(kRun, piece.cols - j);
        if (loaded != at + j * stride || piece.cols > kRun) {
          loaded = at + j * stride;
          Load(step.dtype, data, loaded, stride, stride == 0 ? 1 : count, operand.data());
        }
        Binary(step.op.kind, values + r * piece.ld + j, operand.data(), stride == 0 ? 0 : 1, count);
      }
    }
  }
}

template void PostOpRunner::Apply<float>(const RunContext&, float*, const Piece&) const;
template void PostOpRunner::Apply<double>(const RunContext&, double*, const Piece&) const;

}  // namespace sluice
