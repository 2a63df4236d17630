#pragma once

#include <memory>

#include "kernels/matmul/integer_spec.h"

namespace sluice {

// Integer products of all 8-bit types with the project's own loops; zero points are subtracted as elements
// are loaded.
class IntegerPanelKernel : public Kernel {
 public:
  explicit IntegerPanelKernel(IntegerMatMulReader reader) : reader_(reader) {}

  std::string name() const override { return "panels"; }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return impl_->tiles(); }
  int64_t flops() const override { return impl_->flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override { impl_->Run(ctx, tile); }

 private:
  IntegerMatMulReader reader_;
  std::unique_ptr<Kernel> impl_;
};

template <IntegerMatMulReader kReader>
class IntegerPanelOf : public IntegerPanelKernel {
 public:
  IntegerPanelOf() : IntegerPanelKernel(kReader) {}
};

}  // namespace sluice
