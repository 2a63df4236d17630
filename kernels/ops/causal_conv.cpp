#include <cmath>

#include "kernels/ops/params.h"
#include "kernels/ops/typed_kernel.h"
#include "kernels/parallel.h"
#include "sluice/error.h"

// CausalConvWithState (27): every channel of x [batch, channels, length] convolved with its own weights
// [channels, 1, k] over what came before: past_state [batch, channels, k - 1], zeros without it. Then bias
// and activation ("none", or "silu" alias "swish"). Output 1 is the last k - 1 positions of past and x, the
// next call's past.

namespace sluice {
namespace {

// Scratch: a line with its past, and its sums.
template <typename T>
class CausalConvOf : public Kernel {
  using Sum = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    const Shape &x = ctx.shape(0), &w = ctx.shape(1);
    CheckSameType(ctx);
    if (x.size() != 3) ctx.Fail("x is " + ToString(x) + ", expected [batch, channels, length]");
    if (w.size() != 3 || w[0] != x[1] || w[1] != 1 || w[2] < 1)
      ctx.Fail("weights are " + ToString(w) + ", expected [" + std::to_string(x[1]) + ", 1, k]");
    lines_ = x[0] * x[1];
    channels_ = x[1];
    length_ = x[2];
    k_ = w[2];
    Expect(ctx, 2, {x[1]});
    Expect(ctx, 3, {x[0], x[1], k_ - 1});
    const std::string activation = ctx.attrs().String("activation", "none");
    if (activation != "none" && activation != "silu" && activation != "swish")
      ctx.Fail("activation is '" + activation + "', expected 'none', 'silu' or 'swish'");
    silu_ = activation != "none";
    ctx.SetScratch((2 * length_ + k_ - 1) * static_cast<int64_t>(sizeof(Sum)));
  }
  // A tile does at least 2^13 multiplications, so that it outweighs its dispatch.
  int64_t tiles() const override {
    return lines_ == 0 ? 0 : std::min(lines_, PiecesOf(lines_ * (length_ + 1) * k_, 1 << 13));
  }
  int64_t flops() const override { return 2 * lines_ * length_ * k_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const auto [begin, end] = PieceOf(lines_, tiles(), tile);
    for (int64_t line = begin; line < end; ++line) Convolve(ctx, line);
  }

 private:
  static void Expect(const PrepareContext& ctx, int i, const Shape& shape) {
    if (ctx.has_input(i) && ctx.shape(i) != shape)
      ctx.Fail("input " + std::to_string(i) + " is " + ToString(ctx.shape(i)) + ", expected " +
               ToString(shape));
  }
  void Convolve(const RunContext& ctx, int64_t line) const {
    const int64_t past = k_ - 1, channel = line % channels_;
    Sum *const padded = ctx.scratch<Sum>(), *const sums = padded + past + length_;
    const T *const x = ctx.in<T>(0) + line * length_, *const before = ctx.in<T>(3);
    for (int64_t i = 0; i < past; ++i)
      padded[i] = before == nullptr ? Sum(0) : static_cast<Sum>(before[line * past + i]);
    for (int64_t i = 0; i < length_; ++i) padded[past + i] = static_cast<Sum>(x[i]);
    const T* const bias = ctx.in<T>(2);
    std::fill_n(sums, length_, bias == nullptr ? Sum(0) : static_cast<Sum>(bias[channel]));
    for (int64_t p = 0; p < k_; ++p) {
      const auto weight = static_cast<Sum>(ctx.in<T>(1)[channel * k_ + p]);
      for (int64_t i = 0; i < length_; ++i) sums[i] += weight * padded[i + p];
    }
    if (T* const dst = ctx.out<T>(0); dst != nullptr) {
      for (int64_t i = 0; i < length_; ++i)
        dst[line * length_ + i] = static_cast<T>(silu_ ? sums[i] / (Sum(1) + std::exp(-sums[i])) : sums[i]);
    }
    if (T* const state = ctx.out<T>(1); state != nullptr) {
      for (int64_t i = 0; i < past; ++i) state[line * past + i] = static_cast<T>(padded[length_ + i]);
    }
  }

  int64_t lines_ = 0, channels_ = 1, length_ = 0, k_ = 1;
  bool silu_ = false;
};

void InferCausalConv(InferContext& ctx) {
  const SymShape &x = ctx.shape(0), &w = ctx.shape(1);
  if (x.size() != 3 || w.size() != 3)
    ctx.Fail("x is " + ToString(x) + " and the weights are " + ToString(w) + ", expected rank 3");
  ctx.SetOutput(0, ctx.dtype(0), x);
  ctx.SetOutput(1, ctx.dtype(0), {x[0], x[1], w[2] - Dim(1)});
}

const Operator kCausalConv = {.name = "CausalConvWithState",
                              .versions = {27},
                              .min_inputs = 2,
                              .max_inputs = 4,
                              .max_outputs = 2,
                              .infer = InferCausalConv,
                              .kernels = {&Make<TypedKernel<CausalConvOf>>},
                              .types = "float, double, float16, bfloat16"};
const RegisterOperator kRegister(kCausalConv);

}  // namespace
}  // namespace sluice
