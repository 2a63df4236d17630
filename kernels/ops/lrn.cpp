#include <algorithm>
#include <cmath>

#include "kernels/ops/typed_kernel.h"

// LRN (1, 13): y[c] = x[c] / (bias + alpha / size * sum of x[k]^2)^beta over the `size` channels k around c.

namespace sluice {
namespace {

// Tile: positions of one image. Scratch: squares of all channels there, and the sums of one.
template <typename T>
class LrnOf : public Kernel {
  using Sum = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    layout_ = std::is_same_v<T, float> ? ctx.input(0).layout : Layout::kPlain;
    ctx.SetInputLayout(0, layout_);
    ctx.SetOutputLayout(0, layout_);
    size_ = ctx.attrs().Int("size");
    alpha_ = static_cast<Sum>(ctx.attrs().Float("alpha", 1e-4f)) / static_cast<Sum>(size_);
    beta_ = static_cast<Sum>(ctx.attrs().Float("beta", 0.75f));
    bias_ = static_cast<Sum>(ctx.attrs().Float("bias", 1.0f));
    const Shape& shape = ctx.shape(0);
    n_ = shape[0];
    channels_ = shape[1];
    for (size_t i = 2; i < shape.size(); ++i) positions_ *= shape[i];
    block_ = layout_ == Layout::kChannelsLast ? std::max<int64_t>(1, channels_) : BlockOf(layout_);
    padded_ = (channels_ + block_ - 1) / block_ * block_;
    if (n_ * channels_ * positions_ == 0) return;
    pieces_ = (positions_ + kPositions - 1) / kPositions;
    ctx.SetScratch(NumElements(Shape{channels_ + 1, kPositions, static_cast<int64_t>(sizeof(Sum))}));
  }
  int64_t tiles() const override { return n_ * pieces_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const int64_t first = tile % pieces_ * kPositions, count = std::min(kPositions, positions_ - first);
    const T* src = ctx.in<T>(0) + tile / pieces_ * padded_ * positions_;
    T* dst = ctx.out<T>(0) + tile / pieces_ * padded_ * positions_;
    Sum* const squares = ctx.scratch<Sum>();
    Sum* const sums = squares + channels_ * kPositions;
    const auto at = [&](int64_t c) { return (c / block_ * positions_ + first) * block_ + c % block_; };
    for (int64_t c = 0; c < channels_; ++c) {
      const T* from = src + at(c);
      for (int64_t i = 0; i < count; ++i) {
        const Sum x = static_cast<Sum>(from[i * block_]);
        squares[c * kPositions + i] = x * x;
      }
    }
    const int64_t before = (size_ - 1) / 2, after = size_ - 1 - before;
    for (int64_t c = 0; c < padded_; ++c) {
      T* to = dst + at(c);
      if (c >= channels_) {
        for (int64_t i = 0; i < count; ++i) to[i * block_] = T(0);
        continue;
      }
      std::fill_n(sums, count, Sum(0));
      for (int64_t k = std::max<int64_t>(0, c - before); k <= std::min(channels_ - 1, c + after); ++k) {
        for (int64_t i = 0; i < count; ++i) sums[i] += squares[k * kPositions + i];
      }
      const T* from = src + at(c);
      for (int64_t i = 0; i < count; ++i)
        to[i * block_] = static_cast<T>(static_cast<Sum>(from[i * block_]) * Power(bias_ + alpha_ * sums[i]));
    }
  }

 private:
  static constexpr int64_t kPositions = 64;

  // base^-beta; the usual exponent without a logarithm.
  Sum Power(Sum base) const {
    if (beta_ != Sum(0.75)) return std::pow(base, -beta_);
    const Sum root = std::sqrt(base);
    return 1 / (root * std::sqrt(root));
  }

  Layout layout_ = Layout::kPlain;
  int64_t size_ = 1, n_ = 0, channels_ = 0, positions_ = 1, block_ = 1, padded_ = 0, pieces_ = 0;
  Sum alpha_ = 0, beta_ = 0, bias_ = 0;
};

void InferLrn(InferContext& ctx) {
  if (ctx.rank(0) < 2) ctx.Fail("input is " + ToString(ctx.shape(0)) + ", expected [n, c, spatial...]");
  const int64_t size = ctx.attrs().Int("size");
  if (size < 1 || size > (int64_t{1} << 31))
    ctx.Fail("size is " + std::to_string(size) + ", expected at least 1 and at most 2^31");
  InferSameAsFirst(ctx);
}

const Operator kLrn = {.name = "LRN",
                       .versions = {1, 13},
                       .infer = InferLrn,
                       .kernels = {&Make<TypedKernel<LrnOf>>},
                       .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kLrn);

}  // namespace
}  // namespace sluice
