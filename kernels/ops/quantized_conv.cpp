#include "kernels/forwarding_kernel.h"
#include "kernels/ops/conv_plain.h"
#include "kernels/ops/quantized_types.h"
#include "kernels/quantized.h"

// ConvInteger (10): inputs x, weights and, optionally, their zero points; int32 sums.
// QLinearConv (10): inputs x, weights and the result as 8-bit integers, each with a scale and a zero point,
// and, optionally, an int32 bias in units of the product of x's and the weights' scale. x has one zero point
// and scale, the weights have one or one for each output channel. Padding is x's zero point.

namespace sluice {
namespace {

// Numbers of inputs, -1 where there is none.
struct IntegerConvInputs {
  int x = 0, x_scale = -1, x_zero = -1;
  int w = 1, w_scale = -1, w_zero = -1;
  int y_scale = -1, y_zero = -1, bias = -1;
};

constexpr IntegerConvInputs kConvIntegerInputs = {.x_zero = 2, .w_zero = 3};
constexpr IntegerConvInputs kQLinearConvInputs = {.x = 0,
                                                  .x_scale = 1,
                                                  .x_zero = 2,
                                                  .w = 3,
                                                  .w_scale = 4,
                                                  .w_zero = 5,
                                                  .y_scale = 6,
                                                  .y_zero = 7,
                                                  .bias = 8};

template <typename X, typename W>
class IntegerConvOf : public Kernel {
 public:
  explicit IntegerConvOf(const IntegerConvInputs& inputs) : in_(inputs) {}

  void Prepare(PrepareContext& ctx) override {
    conv_ = PlainConv(ConvGeometryOf(ctx, in_.w));
    // One for all channels is read again for each.
    if (ctx.has_input(in_.w_zero)) w_zero_step_ = ctx.input(in_.w_zero).num_elements() > 1;
    if (in_.w_scale >= 0) {
      w_scale_step_ = ctx.input(in_.w_scale).num_elements() > 1;
      scale_type_ = ctx.dtype(in_.w_scale);
    }
    y_type_ = ctx.output(0).dtype;
    ctx.SetScratch(conv_.scratch_bytes(sizeof(int32_t)));
  }
  int64_t tiles() const override { return conv_.tiles(); }
  int64_t flops() const override { return conv_.geometry().flops(); }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const ConvGeometry& g = conv_.geometry();
    const int64_t in = g.in_elems(), taps = g.ic_per_group() * g.window.kernel_elems();
    const int x_zero = ctx.in<X>(in_.x_zero) == nullptr ? 0 : ctx.in<X>(in_.x_zero)[0];
    const auto load_x = [&](int64_t n, int64_t channel, int64_t channels, int32_t* to) {
      const X* from = ctx.in<X>(in_.x) + (n * g.ic + channel) * in;
      for (int64_t i = 0; i < channels * in; ++i) to[i] = from[i] - x_zero;
    };
    const auto load_w = [&](int64_t oc, int32_t* to) {
      const W* zeros = ctx.in<W>(in_.w_zero);
      const int zero = zeros == nullptr ? 0 : zeros[w_zero_step_ ? oc : 0];
      const W* from = ctx.in<W>(in_.w) + oc * taps;
      for (int64_t i = 0; i < taps; ++i) to[i] = from[i] - zero;
    };
    const auto store = [&](int64_t n, int64_t oc, int32_t* sums) {
      Store(ctx, (n * g.oc + oc) * g.out_elems(), oc, sums);
    };
    conv_.RunTile(tile, ctx.scratch<int32_t>(), load_x, load_w, store);
  }

 private:
  void Store(const RunContext& ctx, int64_t begin, int64_t oc, int32_t* sums) const {
    const int64_t count = conv_.geometry().out_elems();
    if (in_.y_scale < 0) {
      std::copy(sums, sums + count, ctx.out<int32_t>(0) + begin);
      return;
    }
    const auto scale = [&](int input, int64_t i) {
      float value = 0;
      LoadAsFloat(scale_type_, ctx.in<void>(input), i, 1, &value);
      return value;
    };
    const float factor =
        scale(in_.x_scale, 0) * scale(in_.w_scale, w_scale_step_ ? oc : 0) / scale(in_.y_scale, 0);
    const int32_t* bias = ctx.in<int32_t>(in_.bias);
    const auto add = bias == nullptr ? 0u : static_cast<uint32_t>(bias[oc]);
    Dispatch(TypeList<int8_t, uint8_t>(), y_type_, [&](auto tag) {
      using Y = typename decltype(tag)::type;
      const auto zero = static_cast<float>(ctx.in<Y>(in_.y_zero)[0]);
      Y* to = ctx.out<Y>(0) + begin;
      for (int64_t i = 0; i < count; ++i) {
        const auto sum = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) + add);
        to[i] = Requantized<Y>(static_cast<float>(sum) * factor, zero);
      }
    });
  }

  const IntegerConvInputs& in_;
  PlainConv conv_;
  bool w_zero_step_ = false, w_scale_step_ = false;
  DataType scale_type_ = DataType::kUndefined, y_type_ = DataType::kUndefined;
};

template <const IntegerConvInputs& kInputs>
class IntegerConvKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    using Types = TypeList<int8_t, uint8_t>;
    Dispatch(Types(), ctx.dtype(kInputs.x), [&](auto x) {
      Dispatch(Types(), ctx.dtype(kInputs.w), [&](auto w) {
        impl_ =
            std::make_unique<IntegerConvOf<typename decltype(x)::type, typename decltype(w)::type>>(kInputs);
      });
    });
    if (impl_ == nullptr) ctx.Decline("factors that are not int8 or uint8");
    impl_->Prepare(ctx);
  }
};

// One element, or (`channels`: a weights' input, -1 for none) one for each output channel.
void CheckParam(const InferContext& ctx, int input, int channels) {
  if (!ctx.has_input(input)) return;
  const SymShape& shape = ctx.shape(input);
  if (shape.empty() || (shape.size() == 1 && (!shape[0].known() || shape[0].is(1)))) return;
  if (channels >= 0 && shape.size() == 1) {
    const Dim& oc = ctx.shape(channels)[0];
    if (!oc.known() || oc.value() == shape[0].value()) return;
  }
  ctx.Fail("input " + std::to_string(input) + " is " + ToString(shape) + ", expected one element" +
           (channels < 0
                ? ""
                : " or one for each of " + ToString(SymShape{ctx.shape(channels)[0]}) + " channels"));
}

void InferConvInteger(InferContext& ctx) {
  CheckQuantizedFactor(ctx, 0, -1, 2);
  CheckQuantizedFactor(ctx, 1, -1, 3);
  SymShape shape = InferConvShape(ctx, 1, -1);
  CheckParam(ctx, 2, -1);
  CheckParam(ctx, 3, 1);
  ctx.SetOutput(0, DataType::kInt32, std::move(shape));
}

void InferQLinearConv(InferContext& ctx) {
  CheckQuantizedFactor(ctx, 0, 1, 2);
  CheckQuantizedFactor(ctx, 3, 4, 5);
  CheckQuantizedResult(ctx, 6, 7);
  if (ctx.has_input(8)) ExpectType(ctx, 8, ctx.dtype(8) == DataType::kInt32, "int32");
  SymShape shape = InferConvShape(ctx, 3, 8);
  for (int param : {1, 2}) CheckParam(ctx, param, -1);
  for (int param : {4, 5}) CheckParam(ctx, param, 3);
  ctx.SetOutput(0, ctx.dtype(7), std::move(shape));
}

const Operator kConvInteger = {
    .name = "ConvInteger",
    .versions = {10},
    .min_inputs = 2,
    .max_inputs = 4,
    .infer = InferConvInteger,
    .kernels = {&Make<IntegerConvKernel<kConvIntegerInputs>>},
    .types = "int8, uint8",
};
const Operator kQLinearConv = {
    .name = "QLinearConv",
    .versions = {10},
    .min_inputs = 8,
    .max_inputs = 9,
    .infer = InferQLinearConv,
    .kernels = {&Make<IntegerConvKernel<kQLinearConvInputs>>},
    .types = "int8, uint8",
};
const RegisterOperator kRegister[] = {RegisterOperator(kConvInteger), RegisterOperator(kQLinearConv)};

}  // namespace
}  // namespace sluice
