#pragma once

#include <cstdint>

#include "graph/post_op.h"

namespace sluice {

// Post-ops on floats side by side, with vectors. Errors of the functions: kernels/simd/post_ops-inl.h.

// dst[i] = op(src[i]), i < n; dst may be src. `op` takes no operand.
void MapFloats(const PostOp& op, const float* src, int64_t n, float* dst);

// x[i] = x[i] op y[i % period], i < n, for kAdd, kMul and kPRelu. `period` is 1, or n, or a multiple of 8
// that divides n.
void CombineFloats(PostOp::Kind kind, float* x, const float* y, int64_t period, int64_t n);

}  // namespace sluice
