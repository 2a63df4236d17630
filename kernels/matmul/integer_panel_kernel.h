#pragma once

#include <memory>

#include "kernels/forwarding_kernel.h"
#include "kernels/matmul/integer_spec.h"

namespace sluice {

// Integer products of all 8-bit types with the project's own loops; zero points are subtracted as elements
// are loaded.
class IntegerPanelKernel : public ForwardingKernel {
 public:
  explicit IntegerPanelKernel(IntegerMatMulReader reader) : reader_(reader) {}

  std::string name() const override { return "panels"; }
  void Prepare(PrepareContext& ctx) override;

 private:
  IntegerMatMulReader reader_;
};

template <IntegerMatMulReader kReader>
class IntegerPanelOf : public IntegerPanelKernel {
 public:
  IntegerPanelOf() : IntegerPanelKernel(kReader) {}
};

}  // namespace sluice
