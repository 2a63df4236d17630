#pragma once

#include "kernels/kernel.h"
#include "kernels/reorder.h"

namespace sluice {

// A step of a plan that is no node: a value in another layout.
class ReorderKernel : public Kernel {
 public:
  ReorderKernel(TensorDesc src, TensorDesc dst) : src_(std::move(src)), dst_(std::move(dst)) {}
  std::string name() const override { return "reorder"; }
  void Prepare(PrepareContext&) override {}
  int64_t tiles() const override { return ReorderTiles(src_, dst_); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    RunReorder(src_, ctx.in<void>(0), dst_, ctx.out<void>(0), tile);
  }

 private:
  TensorDesc src_, dst_;
};

}  // namespace sluice
