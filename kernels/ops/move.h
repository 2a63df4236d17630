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
        void* const dst = ctx.out<void>(part.output);
        const void* const src = ctx.in<void>(part.input);
        const bool in_place = part.joined_at >= 0 && static_cast<std::byte*>(dst) + part.joined_at == src;
        if (dst != nullptr && !in_place) part.copy.Run(type_, src, dst, tile);
        return;
      }
      tile -= part.copy.tiles();
    }
  }

 protected:
  // joined_at: the byte of the output at which the input's belong as a whole (PrepareContext::JoinInput).
  void Add(int input, int output, StridedCopy copy, int64_t joined_at = -1) {
    tiles_ += copy.tiles();
    parts_.push_back({input, output, std::move(copy), joined_at});
  }

  DataType type_ = DataType::kUndefined;

 private:
  struct Part {
    int input, output;
    StridedCopy copy;
    int64_t joined_at;
  };
  std::vector<Part> parts_;
  int64_t tiles_ = 0;
};

}  // namespace sluice
