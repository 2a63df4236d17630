#pragma once

#include "kernels/ops/elementwise.h"
#include "kernels/parallel.h"
#include "kernels/simd/post_ops.h"

namespace sluice {

// A function of one float that is a post-op as well, in vectors, at the speed of memory where it is cheap; in
// any layout without padding. The op is `kKind` with the members alpha and beta that `Functor` has.
template <PostOp::Kind kKind, typename Functor>
class FloatMapKernel : public Kernel {
 public:
  std::string name() const override { return "vectors"; }
  void Prepare(PrepareContext& ctx) override {
    if (ctx.dtype(0) != DataType::kFloat) ctx.Decline("not float");
    TensorDesc desc = ctx.input(0);
    if (desc.layout != Layout::kPlain && desc.shape[1] % BlockOf(desc.layout) != 0)
      desc.layout = Layout::kPlain;
    ctx.SetInputLayout(0, desc.layout);
    ctx.SetOutputLayout(0, desc.layout);
    ctx.AllowInPlace(0, 0);
    elems_ = desc.num_elements();
    tiles_ = PiecesOf(elems_, kTileElems);
    const Functor functor(ctx);
    if constexpr (requires { functor.alpha; }) op_.alpha = functor.alpha;
    if constexpr (requires { functor.beta; }) op_.beta = functor.beta;
    if constexpr (requires { functor.tanh; }) op_.kind = functor.tanh ? PostOp::Kind::kGeluTanh : kKind;
  }
  int64_t tiles() const override { return tiles_; }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(elems_, tiles_, tile);
    MapFloats(op_, ctx.in<float>(0) + range.begin, range.end - range.begin, ctx.out<float>(0) + range.begin);
  }

 private:
  // About 10 us at the speed of memory.
  static constexpr int64_t kTileElems = 32 * 1024;

  PostOp op_{kKind};
  int64_t elems_ = 0, tiles_ = 1;
};

// UnaryOperator that takes floats through FloatMapKernel.
template <PostOp::Kind kKind, typename Functor, typename Types>
Operator FloatMapOperator(std::string_view name, std::vector<int> versions, std::string_view types) {
  Operator op = UnaryOperator<Functor, Types>(name, std::move(versions), types);
  op.kernels.insert(op.kernels.begin(), &Make<FloatMapKernel<kKind, Functor>>);
  return op;
}

}  // namespace sluice
