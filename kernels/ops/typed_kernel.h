#pragma once

#include <memory>
#include <string>

#include "kernels/dispatch.h"
#include "kernels/kernel.h"

namespace sluice {

// Chooses the K<T> for the element type of input 0 among Types.
template <template <typename> class K, typename Types = FloatTypes>
class TypedKernel : public Kernel {
 public:
  std::string name() const override { return impl_ ? impl_->name() : Kernel::name(); }
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(Types(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<K<typename decltype(tag)::type>>();
    });
    if (!known) ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
  int64_t tiles() const override { return impl_->tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override { impl_->Run(ctx, tile); }

 private:
  std::unique_ptr<Kernel> impl_;
};

}  // namespace sluice
