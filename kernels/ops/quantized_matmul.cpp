#include "kernels/matmul/geometry.h"
#include "kernels/matmul/integer_panel_kernel.h"
#include "kernels/ops/quantized_types.h"

// MatMulInteger (10): inputs a, b and, optionally, their zero points; int32 sums.
// QLinearMatMul (10, 21): inputs a, b and the result as 8-bit integers, each with a scale and a zero point.
// Zero points and scales: one for the tensor, or one for each row of a and each column of b.

namespace sluice {
namespace {

IntegerMatMulSpec WithProduct(const PrepareContext& ctx, IntegerMatMulSpec spec) {
  const auto shape = [&](int input) {
    return input >= 0 && ctx.has_input(input) ? &ctx.shape(input) : nullptr;
  };
  spec.product =
      MatMulContraction(ctx.shape(spec.a), ctx.shape(spec.b), shape(spec.a_zero), shape(spec.b_zero));
  return spec;
}

IntegerMatMulSpec ReadMatMulInteger(const PrepareContext& ctx) {
  return WithProduct(ctx, {.product = {},
                           .a = 0,
                           .a_zero = ctx.has_input(2) ? 2 : -1,
                           .b = 1,
                           .b_zero = ctx.has_input(3) ? 3 : -1});
}

void InferMatMulInteger(InferContext& ctx) {
  CheckQuantizedFactor(ctx, 0, -1, 2);
  CheckQuantizedFactor(ctx, 1, -1, 3);
  CheckMatMulParam(ctx, 2, 0, true);
  CheckMatMulParam(ctx, 3, 1, false);
  ctx.SetOutput(0, DataType::kInt32, InferMatMulShape(ctx, 0, 1));
}

IntegerMatMulSpec ReadQLinearMatMul(const PrepareContext& ctx) {
  return WithProduct(ctx, {.product = {},
                           .a = 0,
                           .a_scale = 1,
                           .a_zero = 2,
                           .b = 3,
                           .b_scale = 4,
                           .b_zero = 5,
                           .y_scale = 6,
                           .y_zero = 7});
}

void InferQLinearMatMul(InferContext& ctx) {
  CheckQuantizedFactor(ctx, 0, 1, 2);
  CheckQuantizedFactor(ctx, 3, 4, 5);
  CheckQuantizedResult(ctx, 6, 7);
  for (int param : {1, 2}) CheckMatMulParam(ctx, param, 0, true);
  for (int param : {4, 5}) CheckMatMulParam(ctx, param, 3, false);
  CheckSameSize(ctx, 1, 2);
  CheckSameSize(ctx, 4, 5);
  ctx.SetOutput(0, ctx.dtype(7), InferMatMulShape(ctx, 0, 3));
}

const Operator kMatMulInteger = {
    .name = "MatMulInteger",
    .versions = {10},
    .min_inputs = 2,
    .max_inputs = 4,
    .infer = InferMatMulInteger,
    .kernels = {&Make<IntegerPanelOf<ReadMatMulInteger>>},
    .types = "int8, uint8",
};
const Operator kQLinearMatMul = {
    .name = "QLinearMatMul",
    .versions = {10, 21},
    .min_inputs = 8,
    .max_inputs = 8,
    .infer = InferQLinearMatMul,
    .kernels = {&Make<IntegerPanelOf<ReadQLinearMatMul>>},
    .types = "int8, uint8",
};
const RegisterOperator kRegister[] = {RegisterOperator(kMatMulInteger), RegisterOperator(kQLinearMatMul)};

}  // namespace
}  // namespace sluice
