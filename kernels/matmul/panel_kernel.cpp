#include "kernels/matmul/panel_kernel.h"

#include "kernels/dispatch.h"
#include "kernels/matmul/epilogue.h"
#include "kernels/matmul/panel_product.h"
#include "kernels/pack_cache.h"

namespace sluice {
namespace {

template <typename T>
class PanelMatMul : public Kernel {
  using Sum = ProductSum<T>;
  // Read as they are: signed integers are their unsigned counterparts.
  static constexpr bool kDirect = sizeof(T) == sizeof(Sum);

 public:
  explicit PanelMatMul(MatMulReader reader) : reader_(reader) {}

  void Prepare(PrepareContext& ctx) override {
    MatMulSpec spec = reader_(ctx);
    if (!ctx.post_ops().empty() && std::is_integral_v<T>) ctx.Decline("post-ops on integers");
    epilogue_ = MatMulEpilogue(ctx, spec, 0);
    a_ = spec.a;
    b_ = spec.b;
    const Tensor* b = ctx.constant(b_);
    const bool packs = b != nullptr && spec.product.has_output() && spec.product.k > 0 &&
                       spec.product.one_b() && spec.product.b_k.linear() && spec.product.b_n.linear();
    product_ = PanelProduct::Make<Sum>(std::move(spec.product), kDirect, packs);
    if (packs) Pack(*b);
    ctx.SetScratch(product_.scratch_bytes());
  }
  int64_t tiles() const override { return product_.tiles(); }
  int64_t flops() const override { return product_.contraction().flops(); }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const Contraction& c = product_.contraction();
    const T *a = ctx.in<T>(a_), *b = ctx.in<T>(b_);
    T* const out = ctx.out<T>(0);
    const Sum* panels = packed_ ? static_cast<const Sum*>(packed_->data()) : nullptr;
    const auto store = [&](const PanelProduct::Part& part, Sum* sums) {
      if (!epilogue_.empty()) epilogue_.template Apply<T>(ctx, c, part, sums);
      for (int64_t i = part.m.begin; i < part.m.end; ++i) {
        const Sum* from = sums + (i - part.m.begin) * part.ld - part.n.begin;
        T* to = out + c.c_batch[part.batch] + c.c_m[i];
        if (c.c_n.linear() && c.c_n.stride() == 1) {
          for (int64_t j = part.n.begin; j < part.n.end; ++j) to[j] = static_cast<T>(from[j]);
        } else {
          for (int64_t j = part.n.begin; j < part.n.end; ++j) to[c.c_n[j]] = static_cast<T>(from[j]);
        }
      }
    };
    product_.RunTile<Sum>(
        tile, ctx.scratch<std::byte>(), reinterpret_cast<const Sum*>(a), panels,
        [a](int64_t offset, int64_t, int64_t) { return static_cast<Sum>(a[offset]); },
        [b](int64_t offset, int64_t, int64_t) { return static_cast<Sum>(b[offset]); }, store);
  }

 private:
  void Pack(const Tensor& tensor) {
    const Contraction& c = product_.contraction();
    const T* b = static_cast<const T*>(tensor.data());
    const std::string format = "panels " + std::string(DataTypeName(kDataType<T>)) + ' ' +
                               std::to_string(c.k) + ' ' + std::to_string(c.n) + ' ' +
                               std::to_string(c.b_k.stride()) + ' ' + std::to_string(c.b_n.stride());
    packed_ = PackShared(tensor, format, product_.packed_elems() * static_cast<int64_t>(sizeof(Sum)),
                         [&](std::byte* to) {
                           PackPanels(
                               c.b_k, c.b_n, {0, c.k}, {0, c.n},
                               [b](int64_t offset, int64_t) { return static_cast<Sum>(b[offset]); },
                               reinterpret_cast<Sum*>(to));
                         });
  }

  const MatMulReader reader_;
  int a_ = 0, b_ = 1;  // inputs
  PanelProduct product_;
  MatMulEpilogue epilogue_;
  PackedWeights packed_;
};

}  // namespace

void PanelMatMulKernel::Prepare(PrepareContext& ctx) {
  const bool known = Dispatch(NumericTypes(), ctx.dtype(0), [&](auto tag) {
    impl_ = std::make_unique<PanelMatMul<typename decltype(tag)::type>>(reader_);
  });
  if (!known) ctx.Decline("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
  impl_->Prepare(ctx);
}

}  // namespace sluice
