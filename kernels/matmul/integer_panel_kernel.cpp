#include "kernels/matmul/integer_panel_kernel.h"

namespace sluice {
namespace {

template <typename A, typename B>
class IntegerPanels : public Kernel {
 public:
  explicit IntegerPanels(IntegerMatMulReader reader) : reader_(reader) {}

  void Prepare(PrepareContext& ctx) override {
    spec_ = reader_(ctx);
    epilogue_ = IntegerEpilogue(ctx, spec_);
    product_ = PanelProduct::Make<uint32_t>(std::move(spec_.product), false, false);
    ctx.SetScratch(product_.scratch_bytes());
  }
  int64_t tiles() const override { return product_.tiles(); }
  int64_t flops() const override { return product_.contraction().flops(); }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const Contraction& c = product_.contraction();
    const A *a = ctx.in<A>(spec_.a), *a_zero = spec_.a_zero < 0 ? nullptr : ctx.in<A>(spec_.a_zero);
    const B *b = ctx.in<B>(spec_.b), *b_zero = spec_.b_zero < 0 ? nullptr : ctx.in<B>(spec_.b_zero);
    product_.RunTile<uint32_t>(
        tile, ctx.scratch<std::byte>(), nullptr, nullptr,
        [&](int64_t offset, int64_t row, int64_t batch) {
          const int zero = a_zero == nullptr ? 0 : a_zero[c.d_batch[batch] + c.d_m[row]];
          return static_cast<uint32_t>(a[offset] - zero);
        },
        [&](int64_t offset, int64_t column, int64_t batch) {
          const int zero = b_zero == nullptr ? 0 : b_zero[c.e_batch[batch] + c.e_n[column]];
          return static_cast<uint32_t>(b[offset] - zero);
        },
        [&](const PanelProduct::Part& part, uint32_t* sums) {
          epilogue_.Store(ctx, c, part, reinterpret_cast<const int32_t*>(sums));
        });
  }

 private:
  const IntegerMatMulReader reader_;
  IntegerMatMulSpec spec_;
  IntegerEpilogue epilogue_;
  PanelProduct product_;
};

}  // namespace

void IntegerPanelKernel::Prepare(PrepareContext& ctx) {
  const IntegerMatMulSpec spec = reader_(ctx);
  using Types = TypeList<int8_t, uint8_t>;
  Dispatch(Types(), ctx.dtype(spec.a), [&](auto a) {
    Dispatch(Types(), ctx.dtype(spec.b), [&](auto b) {
      impl_ =
          std::make_unique<IntegerPanels<typename decltype(a)::type, typename decltype(b)::type>>(reader_);
    });
  });
  if (impl_ == nullptr) ctx.Decline("factors that are not int8 or uint8");
  impl_->Prepare(ctx);
}

}  // namespace sluice
