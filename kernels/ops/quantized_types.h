#pragma once

#include <string>

#include "graph/infer.h"
#include "kernels/dispatch.h"
#include "kernels/quantized.h"

// What the operators on 8-bit numbers ask of their inputs.

namespace sluice {

inline void ExpectType(const InferContext& ctx, int input, bool valid, const std::string& expected) {
  if (ctx.has_input(input) && !valid) {
    ctx.Fail("input " + std::to_string(input) + " is " + std::string(DataTypeName(ctx.dtype(input))) +
             ", expected " + expected);
  }
}

// Whether the operator takes floats of 8 bits where it takes 8-bit integers (QLinearMatMul since 21).
inline bool TakesFloat8(const InferContext& ctx) {
  return ctx.node().op_type == "QLinearMatMul" && ctx.since_version() >= 21;
}
inline bool IsFloat8(DataType type) { return IsNarrowFloat(type) && DataTypeBits(type) == 8; }

inline bool IsByte(DataType type) { return type == DataType::kInt8 || type == DataType::kUInt8; }

// A factor of 8-bit integers, its scale (-1: it has none) and its zero point.
inline void CheckQuantizedFactor(const InferContext& ctx, int factor, int scale, int zero) {
  const bool float8 = TakesFloat8(ctx);
  ExpectType(ctx, factor, IsByte(ctx.dtype(factor)) || (float8 && IsFloat8(ctx.dtype(factor))),
             float8 ? "int8, uint8 or float8" : "int8 or uint8");
  if (scale >= 0) {
    ExpectType(ctx, scale, Contains(TypeList<float, Half, BFloat16>(), ctx.dtype(scale)),
               "float, float16 or bfloat16");
  }
  if (ctx.has_input(zero)) {
    ExpectType(
        ctx, zero, ctx.dtype(zero) == ctx.dtype(factor),
        "the type of input " + std::to_string(factor) + ", " + std::string(DataTypeName(ctx.dtype(factor))));
  }
}

// The scale and the zero point of the result, whose type the latter has; one element each.
inline void CheckQuantizedResult(const InferContext& ctx, int scale, int zero) {
  const bool float8 = TakesFloat8(ctx);
  ExpectType(ctx, zero, IsByte(ctx.dtype(zero)) || (float8 && IsFloat8(ctx.dtype(zero))),
             float8 ? "int8, uint8 or float8" : "int8 or uint8");
  for (int other = 0; other <= scale; ++other) {
    // All scales have one type.
    if (Contains(FloatTypes(), ctx.dtype(other))) {
      ExpectType(
          ctx, other, ctx.dtype(other) == ctx.dtype(scale),
          "the type of input " + std::to_string(scale) + ", " + std::string(DataTypeName(ctx.dtype(scale))));
    }
  }
  for (int input : {scale, zero}) {
    const SymShape& shape = ctx.shape(input);
    if (shape.size() > 1 || (shape.size() == 1 && shape[0].known() && !shape[0].is(1))) {
      ctx.Fail("input " + std::to_string(input) + " is " + ToString(shape) + ", expected one element");
    }
  }
}

// A scale and a zero point that belong together are one or as many each.
inline void CheckSameSize(const InferContext& ctx, int scale, int zero) {
  Dim sizes[2] = {1, 1};
  for (const Dim& dim : ctx.shape(scale)) sizes[0] = sizes[0] * dim;
  for (const Dim& dim : ctx.shape(zero)) sizes[1] = sizes[1] * dim;
  if (sizes[0].known() && sizes[1].known() && sizes[0].value() != sizes[1].value()) {
    ctx.Fail("input " + std::to_string(zero) + " is " + ToString(ctx.shape(zero)) +
             ", expected the shape of input " + std::to_string(scale) + ", " + ToString(ctx.shape(scale)));
  }
}

}  // namespace sluice
