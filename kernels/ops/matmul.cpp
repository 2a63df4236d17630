#include "kernels/matmul/panel_kernel.h"
#include "kernels/onednn/matmul_kernel.h"
#include "kernels/ops/params.h"
#include "kernels/strided_copy.h"

// MatMul (1, 9, 13): numpy's matmul. Gemm (1, 6, 7, 9, 11, 13): alpha * A' B' + beta * C with matrices that
// may be transposed. Every numeric type; integers wrap around.

namespace sluice {
namespace {

using Axis = Contraction::Axis;

void CheckInner(const InferContext& ctx, const Dim& a, const Dim& b) {
  if (a.known() && b.known() && a.value() != b.value()) {
    ctx.Fail("inputs " + ToString(ctx.shape(0)) + " and " + ToString(ctx.shape(1)) +
             " do not fit: inner sizes are " + std::to_string(a.value()) + " and " +
             std::to_string(b.value()));
  }
}

void InferMatMul(InferContext& ctx) {
  CheckSameType(ctx);
  SymShape a = ctx.shape(0), b = ctx.shape(1);
  if (a.empty() || b.empty()) ctx.Fail("an input is a scalar, expected rank 1 or more");
  CheckInner(ctx, a.back(), b[b.size() < 2 ? 0 : b.size() - 2]);
  const bool row = a.size() > 1, column = b.size() > 1;
  const Dim m = row ? a[a.size() - 2] : Dim(), n = b.back();
  a.resize(row ? a.size() - 2 : 0);
  b.resize(column ? b.size() - 2 : 0);
  SymShape shape = ctx.Broadcast(a, b);
  if (row) shape.push_back(m);
  if (column) shape.push_back(n);
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

MatMulSpec ReadMatMul(const PrepareContext& ctx) {
  Shape a = ctx.shape(0), b = ctx.shape(1);
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const Shape a_strides = RowMajorStrides(a), b_strides = RowMajorStrides(b);
  const size_t ra = a.size(), rb = b.size(), axes = std::max(ra, rb) - 2;
  const int64_t m = a[ra - 2], n = b[rb - 1], k = a[ra - 1];
  std::vector<Axis> batch(axes);
  int64_t step = m * n;
  for (size_t i = axes; i-- > 0;) {
    // Counted from the last batch axis.
    const size_t back = axes - i + 2;
    Axis& axis = batch[i];
    const int64_t in_a = back <= ra ? a[ra - back] : 1, in_b = back <= rb ? b[rb - back] : 1;
    axis.size = in_a == 1 ? in_b : in_a;
    axis.a = in_a == 1 ? 0 : a_strides[ra - back];
    axis.b = in_b == 1 ? 0 : b_strides[rb - back];
    axis.c = step;
    step *= axis.size;
  }
  MatMulSpec spec;
  spec.product = Contraction(std::move(batch), {{.size = m, .a = a_strides[ra - 2], .c = n}},
                             {{.size = n, .b = b_strides[rb - 1], .c = 1}},
                             {{.size = k, .a = a_strides[ra - 1], .b = b_strides[rb - 2]}});
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
  CheckInner(ctx, a[trans_a ? 0 : 1], b[trans_b ? 1 : 0]);
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
