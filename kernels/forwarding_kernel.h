#pragma once

#include <memory>
#include <string>

#include "kernels/kernel.h"

namespace sluice {

// A kernel whose Prepare chooses another one, by the types of the inputs say, and leaves the work to it.
class ForwardingKernel : public Kernel {
 public:
  std::string name() const override { return impl_ ? impl_->name() : Kernel::name(); }
  int64_t tiles() const override { return impl_->tiles(); }
  int64_t flops() const override { return impl_->flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override { impl_->Run(ctx, tile); }
  int64_t together() const override { return impl_->together(); }
  void RunTogether(const RunContext& ctx, int64_t first, int64_t count) const override {
    impl_->RunTogether(ctx, first, count);
  }

 protected:
  std::unique_ptr<Kernel> impl_;  // set and prepared by Prepare
};

}  // namespace sluice
