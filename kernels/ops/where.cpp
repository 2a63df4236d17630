#include "kernels/ops/elementwise.h"

// Where (9, 16): condition ? x : y, all three broadcast. Moves elements, so only their size matters.

namespace sluice {
namespace {

class WhereKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    type_ = ctx.dtype(1);
    if (!DispatchBySize(type_, [](auto) {}))
      ctx.Unsupported("elements of type " + std::string(DataTypeName(type_)));
    broadcast_ = Broadcast(ctx, Broadcast::Inputs(ctx, 3));
  }
  int64_t tiles() const override { return broadcast_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    DispatchBySize(type_, [&](auto tag) { Select<typename decltype(tag)::type>(ctx, tile); });
  }

 private:
  template <typename T>
  void Select(const RunContext& ctx, int64_t tile) const {
    const uint8_t* condition = ctx.in<uint8_t>(0);
    const T *x = ctx.in<T>(1), *y = ctx.in<T>(2);
    T* dst = ctx.out<T>(0);
    const int64_t c = broadcast_.step(0), a = broadcast_.step(1), b = broadcast_.step(2);
    broadcast_.ForEachRow(tile, [&](int64_t at, const auto& src, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        dst[at + i] = condition[src[0] + i * c] != 0 ? x[src[1] + i * a] : y[src[2] + i * b];
      }
    });
  }

  DataType type_ = DataType::kUndefined;
  Broadcast broadcast_;
};

void InferWhere(InferContext& ctx) {
  if (ctx.dtype(0) != DataType::kBool)
    ctx.Fail("the condition is " + std::string(DataTypeName(ctx.dtype(0))) + ", expected bool");
  if (ctx.dtype(1) != ctx.dtype(2)) {
    ctx.Fail("input 2 is " + std::string(DataTypeName(ctx.dtype(2))) + ", expected " +
             std::string(DataTypeName(ctx.dtype(1))));
  }
  ctx.SetOutput(0, ctx.dtype(1), ctx.Broadcast(ctx.Broadcast(ctx.shape(0), ctx.shape(1)), ctx.shape(2)));
}

const Definition kDefinition(Operator{.name = "Where",
                                      .versions = {9, 16},
                                      .min_inputs = 3,
                                      .max_inputs = 3,
                                      .infer = InferWhere,
                                      .kernels = {&Make<WhereKernel>},
                                      .types = "all"});

}  // namespace
}  // namespace sluice
