#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/layout.h"

namespace sluice {

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
