#pragma once

#include <memory>
#include <string>

#include "kernels/dispatch.h"
#include "kernels/forwarding_kernel.h"
#include "kernels/kernel.h"

namespace sluice {

// Chooses the K<T> for the element type of input 0 among Types.
template <template <typename> class K, typename Types = FloatTypes>
class TypedKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(Types(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<K<typename decltype(tag)::type>>();
    });
    if (!known) ctx.Unsupported("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
};

// The K<Sum> that computes in float, or in double where input 0 is.
template <template <typename> class K>
class SumKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    if (ctx.dtype(0) == DataType::kDouble) {
      impl_ = std::make_unique<K<double>>();
    } else {
      impl_ = std::make_unique<K<float>>();
    }
    impl_->Prepare(ctx);
  }
};

}  // namespace sluice
