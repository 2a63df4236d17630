#include "kernels/matmul/geometry.h"
#include "kernels/matmul/panel_kernel.h"
#include "kernels/onednn/matmul_kernel.h"
#include "kernels/ops/params.h"

// MatMul (1, 9, 13): numpy's matmul. Gemm (1, 6, 7, 9, 11, 13): alpha * A' B' + beta * C with matrices that
// may be transposed. Every numeric type; integers wrap around.

namespace sluice {
namespace {

using Axis = Contraction::Axis;

void InferMatMul(InferContext& ctx) {
  CheckSameType(ctx);
  ctx.SetOutput(0, ctx.dtype(0), InferMatMulShape(ctx, 0, 1));
}

MatMulSpec ReadMatMul(const PrepareContext& ctx) {
  MatMulSpec spec;
  spec.product = MatMulContraction(ctx.shape(0), ctx.shape(1));
  return spec;
}

void InferGemm(InferContext& ctx) {
  CheckSameType(ctx);
  for (int i = 0; i < 2; ++i) {
    if (ctx.rank(i) != 2) {
      ctx.Fail("input " + std::to_string(i) + " has rank " + std::to_string(ctx.rank(i)) + ", expected 2");
    }
  }
  const SymShape &a = ctx.shape(0), &b = ctx.shape(1);
  const bool trans_a = ctx.attrs().Int("transA", 0) != 0, trans_b = ctx.attrs().Int("transB", 0) != 0;
  CheckInnerSizes(ctx, a[trans_a ? 0 : 1], b[trans_b ? 1 : 0]);
  const SymShape shape = {a[trans_a ? 1 : 0], b[trans_b ? 0 : 1]};
  if (ctx.has_input(2)) {
    const SymShape& c = ctx.shape(2);
    const bool broadcasts = ctx.since_version() >= 7 || ctx.attrs().Int("broadcast", 0) != 0;
    bool fits = c.size() <= 2 && (broadcasts || c.size() == 2);
    for (size_t i = 0; fits && i < c.size(); ++i) {
      const Dim &size = c[c.size() - 1 - i], &whole = shape[1 - i];
      fits = !size.known() || !whole.known() || size.value() == whole.value() || (broadcasts && size.is(1));
    }
    if (!fits) {
      ctx.Fail("input 2 is " + ToString(c) + ", expected " + ToString(shape) +
               (broadcasts ? " or what broadcasts to it" : " (broadcast is 0)"));
    }
  }
  ctx.SetOutput(0, ctx.dtype(0), shape);
}

MatMulSpec ReadGemm(const PrepareContext& ctx) {
  const Shape &a = ctx.shape(0), &b = ctx.shape(1);
  const bool trans_a = ctx.attrs().Int("transA", 0) != 0, trans_b = ctx.attrs().Int("transB", 0) != 0;
  const int64_t m = ctx.output(0).shape[0], n = ctx.output(0).shape[1];
  MatMulSpec spec;
  spec.alpha = ctx.attrs().Float("alpha", 1);
  spec.beta = ctx.attrs().Float("beta", 1);
  Axis rows{.size = m, .a = trans_a ? 1 : a[1], .c = n};
  Axis columns{.size = n, .b = trans_b ? b[1] : 1, .c = 1};
  const Axis inner{.size = a[trans_a ? 0 : 1], .a = trans_a ? a[1] : 1, .b = trans_b ? 1 : b[1]};
  if (ctx.has_input(2)) {
    const Shape& c = ctx.shape(2);
    spec.addend = 2;
    columns.d = c.empty() || c.back() == 1 ? 0 : 1;
    rows.d = c.size() < 2 || c[0] == 1 ? 0 : c[1];
  }
  spec.product = Contraction({}, {rows}, {columns}, {inner});
  return spec;
}

const Operator kMatMul = {
    .name = "MatMul",
    .versions = {1, 9, 13},
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = InferMatMul,
    .kernels = {&Make<onednn::MatMulOf<ReadMatMul>>, &Make<PanelMatMulOf<ReadMatMul>>},
    .takes_post_ops = true,
    .types = "T",
};
const Operator kGemm = {
    .name = "Gemm",
    .versions = {1, 6, 7, 9, 11, 13},
    .min_inputs = 2,
    .max_inputs = 3,
    .infer = InferGemm,
    .kernels = {&Make<onednn::MatMulOf<ReadGemm>>, &Make<PanelMatMulOf<ReadGemm>>},
    .takes_post_ops = true,
    .types = "T",
};
const RegisterOperator kRegister[] = {RegisterOperator(kMatMul), RegisterOperator(kGemm)};

}  // namespace
}  // namespace sluice
