#pragma once

#include <algorithm>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/memory_order.h"
#include "kernels/strided_copy.h"

namespace sluice {

// Base of the kernels that only move boxes of elements between inputs and outputs: Prepare adds the
// boxes, every one of which is cut into tiles of its own.
class MoveKernel : public Kernel {
 public:
  int64_t tiles() const override { return std::max<int64_t>(tiles_, 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    for (const Part& part : parts_) {
      if (tile < part.copy.tiles()) {
        if (void* dst = ctx.out<void>(part.output)) part.copy.Run(type_, ctx.in<void>(part.input), dst, tile);
        return;
      }
      tile -= part.copy.tiles();
    }
  }

 protected:
  void Add(int input, int output, StridedCopy copy) {
    tiles_ += copy.tiles();
    parts_.push_back({input, output, std::move(copy)});
  }

  DataType type_ = DataType::kUndefined;

 private:
  struct Part {
    int input, output;
    StridedCopy copy;
  };
  std::vector<Part> parts_;
  int64_t tiles_ = 0;
};

}  // namespace sluice
