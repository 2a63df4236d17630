#include "kernels/depthwise_kernel.h"
#include "kernels/dispatch.h"
#include "kernels/forwarding_kernel.h"
#include "kernels/image_conv_kernel.h"
#include "kernels/onednn/conv_kernel.h"
#include "kernels/ops/conv_plain.h"
#include "kernels/ops/params.h"
#include "kernels/post_ops.h"
#include "kernels/short_winograd_kernel.h"
#include "kernels/tap_conv_kernel.h"
#include "kernels/winograd_kernel.h"

// Conv (1, 11, 22) and ConvTranspose (1, 11, 22): inputs x [n, c, spatial...], weights
// [oc, c / group, kernel...] (transposed: [c, oc / group, kernel...]) and, optionally, bias [oc].

namespace sluice {
namespace {

// Any float type and any rank; sums in ComputeType.
template <typename T, bool kTransposed>
class PlainConvOf : public Kernel {
  using Sum = ComputeType<T>;

 public:
  void Prepare(PrepareContext& ctx) override {
    conv_ = PlainConv(kTransposed ? ConvTransposeGeometryOf(ctx) : ConvGeometryOf(ctx));
    post_ops_ = PostOpRunner(ctx);
    ctx.SetScratch(conv_.scratch_bytes(sizeof(Sum)));
  }
  int64_t tiles() const override { return conv_.tiles(); }
  int64_t flops() const override { return conv_.geometry().flops(); }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const ConvGeometry& g = conv_.geometry();
    const T *src = ctx.in<T>(0), *weights = ctx.in<T>(1), *bias = ctx.in<T>(2);
    const int64_t in = g.in_elems(), out = g.out_elems(), taps = g.window.kernel_elems();
    const auto load_src = [&](int64_t n, int64_t channel, int64_t channels, Sum* to) {
      const T* from = src + (n * g.ic + channel) * in;
      for (int64_t i = 0; i < channels * in; ++i) to[i] = static_cast<Sum>(from[i]);
    };
    const auto load_weights = [&](int64_t oc, Sum* to) {
      const int64_t icg = g.ic_per_group(), ocg = g.oc_per_group(), group = oc / ocg;
      for (int64_t ic = 0; ic < icg; ++ic) {
        const T* from = kTransposed ? weights + ((group * icg + ic) * ocg + oc % ocg) * taps
                                    : weights + (oc * icg + ic) * taps;
        for (int64_t t = 0; t < taps; ++t) to[ic * taps + t] = static_cast<Sum>(from[t]);
      }
    };
    const auto store = [&](int64_t n, int64_t oc, Sum* sums) {
      T* to = ctx.out<T>(0) + (n * g.oc + oc) * out;
      const Sum b = bias == nullptr ? Sum(0) : static_cast<Sum>(bias[oc]);
      for (int64_t i = 0; i < out; ++i) sums[i] += b;
      if (!post_ops_.empty()) post_ops_.Apply(ctx, sums, post_ops_.Lines((n * g.oc + oc) * out, out));
      for (int64_t i = 0; i < out; ++i) to[i] = static_cast<T>(sums[i]);
    };
    conv_.RunTile(tile, ctx.scratch<Sum>(), load_src, load_weights, store);
  }

 private:
  PlainConv conv_;
  PostOpRunner post_ops_;
};

// Chooses the element type.
template <bool kTransposed>
class PlainConvKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const DataType type = ctx.dtype(0);
    const bool known = Dispatch(FloatTypes(), type, [&](auto tag) {
      impl_ = std::make_unique<PlainConvOf<typename decltype(tag)::type, kTransposed>>();
    });
    if (!known) ctx.Decline("elements of type " + std::string(DataTypeName(type)));
    impl_->Prepare(ctx);
  }
};

void InferConv(InferContext& ctx) {
  CheckSameType(ctx);
  ctx.SetOutput(0, ctx.dtype(0), InferConvShape(ctx, 1, 2));
}

void InferConvTranspose(InferContext& ctx) {
  CheckSameType(ctx);
  ctx.SetOutput(0, ctx.dtype(0), InferConvTransposeShape(ctx));
}

const Operator kConv = {
    .name = "Conv",
    .versions = {1, 11, 22},
    .min_inputs = 2,
    .max_inputs = 3,
    .infer = InferConv,
    .kernels = {&Make<WinogradKernel>, &Make<ShortConvKernel>, &Make<DirectConvKernel>,
                &Make<ImageConvKernel>, &Make<DepthwiseKernel>, &Make<onednn::ForwardConvKernel>, &Make<PlainConvKernel<false>>},
    .takes_post_ops = true,
    .types = "float, double, float16, bfloat16",
};
const RegisterOperator kRegisterConv(kConv);

const Operator kConvTranspose = {
    .name = "ConvTranspose",
    .versions = {1, 11, 22},
    .min_inputs = 2,
    .max_inputs = 3,
    .infer = InferConvTranspose,
    .kernels = {&Make<ShortTransposedConvKernel>, &Make<SubPixelConvKernel>,
                &Make<onednn::TransposedConvKernel>, &Make<PlainConvKernel<true>>},
    .takes_post_ops = true,
    .types = "float, double, float16, bfloat16",
};
const RegisterOperator kRegisterConvTranspose(kConvTranspose);

}  // namespace
}  // namespace sluice
