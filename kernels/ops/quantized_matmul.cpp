#include "kernels/matmul/geometry.h"
#include "kernels/matmul/integer_panel_kernel.h"
#include "kernels/ops/quantized_types.h"

// MatMulInteger (10): inputs a, b and, optionally, their zero points; int32 sums.
// QLinearMatMul (10, 21): inputs a, b and the result as 8-bit integers or (21) floats, each with a scale and
// a zero point. Zero points and scales: one for the tensor, or one for each row of a and each column of b.

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

IntegerMatMulSpec QLinearMatMulSpec(const PrepareContext& ctx) {
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

IntegerMatMulSpec ReadQLinearMatMul(const PrepareContext& ctx) {
  if (!IsByte(ctx.output(0).dtype)) ctx.Decline("a result that is not int8 or uint8");
  return QLinearMatMulSpec(ctx);
}

// QLinearMatMul with floats of 8 bits among its factors or as its result: in float.
class Float8MatMulKernel : public Kernel {
 public:
  std::string name() const override { return "float8"; }
  void Prepare(PrepareContext& ctx) override {
    spec_ = QLinearMatMulSpec(ctx);
    a_ = ctx.dtype(spec_.a);
    b_ = ctx.dtype(spec_.b);
    scale_ = ctx.dtype(spec_.y_scale);
    y_ = ctx.output(0).dtype;
    product_ = PanelProduct::Make<float>(std::move(spec_.product), false, false);
    ctx.SetScratch(product_.scratch_bytes());
  }
  int64_t tiles() const override { return product_.tiles(); }
  int64_t flops() const override { return product_.contraction().flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const Contraction& c = product_.contraction();
    const auto factor = [&](DataType type, int input, int zero, int scale) {
      return [&ctx, this, type, input, zero, scale](int64_t at, int64_t param) {
        return (At(ctx, type, input, at) - At(ctx, type, zero, param)) * At(ctx, scale_, scale, param);
      };
    };
    const auto a = factor(a_, spec_.a, spec_.a_zero, spec_.a_scale);
    const auto b = factor(b_, spec_.b, spec_.b_zero, spec_.b_scale);
    const float y_scale = At(ctx, scale_, spec_.y_scale, 0), y_zero = At(ctx, y_, spec_.y_zero, 0);
    product_.RunTile<float>(
        tile, ctx.scratch<std::byte>(), nullptr, nullptr,
        [&](int64_t at, int64_t row, int64_t batch) { return a(at, c.d_batch[batch] + c.d_m[row]); },
        [&](int64_t at, int64_t column, int64_t batch) { return b(at, c.e_batch[batch] + c.e_n[column]); },
        [&](const PanelProduct::Part& part, float* sums) {
          const int64_t count = part.n.end - part.n.begin;
          for (int64_t i = part.m.begin; i < part.m.end; ++i) {
            float* const line = sums + (i - part.m.begin) * part.ld;
            const int64_t to = c.c_batch[part.batch] + c.c_m[i] + c.c_n[part.n.begin];
            for (int64_t j = 0; j < count; ++j) line[j] /= y_scale;
            if (IsFloat8(y_)) {
              for (int64_t j = 0; j < count; ++j) line[j] += y_zero;
              StoreNarrowFloats(y_, line, true, to, count, ctx.out<void>(0));
              continue;
            }
            const std::vector<float> zeros(static_cast<size_t>(count), y_zero);
            StoreQuantized(y_, line, zeros.data(), to, count, ctx.out<void>(0));
          }
        });
  }

 private:
  static float At(const RunContext& ctx, DataType type, int input, int64_t i) {
    float value = 0;
    LoadAsFloat(type, ctx.in<void>(input), i, 1, &value);
    return value;
  }

  IntegerMatMulSpec spec_;
  PanelProduct product_;
  DataType a_ = DataType::kUndefined, b_ = DataType::kUndefined, y_ = DataType::kUndefined,
           scale_ = DataType::kUndefined;
};

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
    .kernels = {&Make<IntegerPanelOf<ReadQLinearMatMul>>, &Make<Float8MatMulKernel>},
    .types = "int8, uint8, float8",
};
const RegisterOperator kRegister[] = {RegisterOperator(kMatMulInteger), RegisterOperator(kQLinearMatMul)};

}  // namespace
}  // namespace sluice
