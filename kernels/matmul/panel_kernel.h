#pragma once

#include <memory>

#include "kernels/matmul/spec.h"

namespace sluice {

// Products of all numeric types and strides with the project's own loops; see PanelProduct. A constant
// second factor is packed once.
class PanelMatMulKernel : public Kernel {
 public:
  explicit PanelMatMulKernel(MatMulReader reader) : reader_(reader) {}

  std::string name() const override { return "panels"; }
  void Prepare(PrepareContext& ctx) override;
  int64_t tiles() const override { return impl_->tiles(); }
  int64_t flops() const override { return impl_->flops(); }
  void Run(const RunContext& ctx, int64_t tile) const override { impl_->Run(ctx, tile); }

 private:
  MatMulReader reader_;
  std::unique_ptr<Kernel> impl_;
};

template <MatMulReader kReader>
class PanelMatMulOf : public PanelMatMulKernel {
 public:
  PanelMatMulOf() : PanelMatMulKernel(kReader) {}
};

}  // namespace sluice
