#pragma once

#include <algorithm>
#include <vector>

#include "kernels/kernel.h"
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

// A tensor's sizes in the order in which they lie in memory, and where each axis of the tensor is.
struct MemoryOrder {
  Shape sizes;
  std::vector<int64_t> position;  // of each axis; of axis 1 that of the blocks where there are blocks

  explicit MemoryOrder(const TensorDesc& desc) {
    const auto rank = static_cast<int64_t>(desc.shape.size());
    sizes = desc.shape;
    for (int64_t i = 0; i < rank; ++i) position.push_back(i);
    const int64_t block = BlockOf(desc.layout);
    if (desc.layout == Layout::kChannelsLast) {
      std::rotate(sizes.begin() + 1, sizes.begin() + 2, sizes.end());
      for (int64_t i = 1; i < rank; ++i) position[static_cast<size_t>(i)] = i == 1 ? rank - 1 : i - 1;
    } else if (block > 1) {
      sizes[1] = (sizes[1] + block - 1) / block;
      sizes.push_back(block);
    }
  }
};

}  // namespace sluice
