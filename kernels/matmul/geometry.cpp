#include "kernels/matmul/geometry.h"

#include "kernels/strided_copy.h"

namespace sluice {
namespace {

using Axis = Contraction::Axis;

// Strides, along the axes of a factor, of a tensor with one element for each row, or each column.
Shape ParamStrides(const Shape* param, size_t rank, bool rows) {
  Shape strides(rank, 0);
  if (param == nullptr || NumElements(*param) == 1) return strides;
  if (param->size() == 1) {
    strides[rows ? rank - 2 : rank - 1] = 1;
    return strides;
  }
  const Shape own = RowMajorStrides(*param);
  for (size_t i = 0; i < rank; ++i) strides[i] = (*param)[i] == 1 ? 0 : own[i];
  return strides;
}

}  // namespace

void CheckInnerSizes(const InferContext& ctx, const Dim& a, const Dim& b) {
  if (a.known() && b.known() && a.value() != b.value()) {
    ctx.Fail("the factors do not fit: inner sizes are " + std::to_string(a.value()) + " and " +
             std::to_string(b.value()));
  }
}

SymShape InferMatMulShape(const InferContext& ctx, int a_input, int b_input) {
  SymShape a = ctx.shape(a_input), b = ctx.shape(b_input);
  if (a.empty() || b.empty()) ctx.Fail("a factor is a scalar, expected rank 1 or more");
  CheckInnerSizes(ctx, a.back(), b[b.size() < 2 ? 0 : b.size() - 2]);
  const bool row = a.size() > 1, column = b.size() > 1;
  const Dim m = row ? a[a.size() - 2] : Dim(), n = b.back();
  a.resize(row ? a.size() - 2 : 0);
  b.resize(column ? b.size() - 2 : 0);
  SymShape shape = ctx.Broadcast(a, b);
  if (row) shape.push_back(m);
  if (column) shape.push_back(n);
  return shape;
}

Contraction MatMulContraction(Shape a, Shape b, const Shape* a_param, const Shape* b_param) {
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const size_t ra = a.size(), rb = b.size(), axes = std::max(ra, rb) - 2;
  const Shape a_strides = RowMajorStrides(a), b_strides = RowMajorStrides(b);
  const Shape d_strides = ParamStrides(a_param, ra, true), e_strides = ParamStrides(b_param, rb, false);
  const int64_t m = a[ra - 2], n = b[rb - 1], k = a[ra - 1];
  std::vector<Axis> batch(axes);
  int64_t step = m * n;
  for (size_t i = axes; i-- > 0;) {
    const size_t back = axes - i + 2;  // from the end of the shapes
    Axis& axis = batch[i];
    axis.size = 1;
    if (back <= ra && a[ra - back] != 1) {
      axis.size = a[ra - back];
      axis.a = a_strides[ra - back];
      axis.d = d_strides[ra - back];
    }
    if (back <= rb && b[rb - back] != 1) {
      axis.size = b[rb - back];
      axis.b = b_strides[rb - back];
      axis.e = e_strides[rb - back];
    }
    axis.c = step;
    step *= axis.size;
  }
  return Contraction(std::move(batch), {{.size = m, .a = a_strides[ra - 2], .c = n, .d = d_strides[ra - 2]}},
                     {{.size = n, .b = b_strides[rb - 1], .c = 1, .e = e_strides[rb - 1]}},
                     {{.size = k, .a = a_strides[ra - 1], .b = b_strides[rb - 2]}});
}

void CheckMatMulParam(const InferContext& ctx, int param, int factor, bool rows) {
  if (!ctx.has_input(param)) return;
  const SymShape& shape = ctx.shape(param);
  SymShape wanted = ctx.shape(factor);
  if (shape.empty() || (shape.size() == 1 && shape[0].is(1))) return;
  const auto fits = [&shape](const SymShape& expected) {
    bool result = shape.size() == expected.size();
    for (size_t i = 0; result && i < shape.size(); ++i) {
      result = !shape[i].known() || !expected[i].known() || shape[i].value() == expected[i].value();
    }
    return result;
  };
  if (wanted.size() >= 2) {
    const size_t row = wanted.size() - 2, column = wanted.size() - 1;
    if (fits({wanted[rows ? row : column]})) return;
    wanted[rows ? column : row] = 1;
    if (fits(wanted)) return;
  }
  ctx.Fail("input " + std::to_string(param) + " is " + ToString(shape) +
           ", expected one element or one for each " + (rows ? "row" : "column") + " of input " +
           std::to_string(factor) + ", " + ToString(ctx.shape(factor)));
}

}  // namespace sluice
