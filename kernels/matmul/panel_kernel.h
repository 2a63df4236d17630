#pragma once

#include <memory>

#include "kernels/forwarding_kernel.h"
#include "kernels/matmul/spec.h"

namespace sluice {

// Products of all numeric types and strides with the project's own loops; see PanelProduct. A constant
// second factor is packed once.
class PanelMatMulKernel : public ForwardingKernel {
 public:
  explicit PanelMatMulKernel(MatMulReader reader) : reader_(reader) {}

  std::string name() const override { return "panels"; }
  void Prepare(PrepareContext& ctx) override;

 private:
  MatMulReader reader_;
};

template <MatMulReader kReader>
class PanelMatMulOf : public PanelMatMulKernel {
 public:
  PanelMatMulOf() : PanelMatMulKernel(kReader) {}
};

}  // namespace sluice
