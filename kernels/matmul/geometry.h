#pragma once

#include "graph/infer.h"
#include "kernels/matmul/contraction.h"

namespace sluice {

// numpy's matmul: the last two axes are matrices, a single axis is a row on the left and a column on the
// right, the axes before broadcast.

// The shape of the product of inputs `a` and `b`; fails where they do not fit.
SymShape InferMatMulShape(const InferContext& ctx, int a, int b);
// Fails unless the sizes that are summed over agree, as far as they are known.
void CheckInnerSizes(const InferContext& ctx, const Dim& a, const Dim& b);

// The product of inputs with these shapes, whose result is row-major. `a_param` and `b_param`, where not
// null, are the shapes of tensors with one element, or one for each row of a and each column of b (of each
// matrix, if as many axes as the factor's are stated): the contraction's tensors d and e.
Contraction MatMulContraction(Shape a, Shape b, const Shape* a_param = nullptr,
                              const Shape* b_param = nullptr);
// Fails if input `param` has no such shape for a factor, input `factor`. `rows`: one for each row.
void CheckMatMulParam(const InferContext& ctx, int param, int factor, bool rows);

}  // namespace sluice
