#include "runtime/arena_pool.h"

#include <algorithm>

namespace sluice {

ArenaPool::~ArenaPool() {
  for (const Tensor& block : free_) budget_.AddIdle(-block.byte_size());
}

Tensor ArenaPool::Take(int64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    const auto fits = std::find_if(free_.begin(), free_.end(),
                                   [&](const Tensor& block) { return block.byte_size() >= bytes; });
    if (fits != free_.end()) {
      Tensor block = std::move(*fits);
      free_.erase(fits);
      budget_.AddIdle(-block.byte_size());
      return block;
    }
    // A larger block takes the place of the largest that is too small.
    if (!free_.empty()) {
      budget_.AddIdle(-free_.back().byte_size());
      free_.pop_back();
    }
  }
  return AllocateTensor(allocator_, DataType::kUInt8, {bytes});
}

void ArenaPool::Give(Tensor block) {
  const std::lock_guard lock(mutex_);
  const auto at = std::find_if(free_.begin(), free_.end(),
                               [&](const Tensor& other) { return other.byte_size() >= block.byte_size(); });
  budget_.AddIdle(block.byte_size());
  free_.insert(at, std::move(block));
}

void ArenaPool::Shrink() {
  const std::lock_guard lock(mutex_);
  while (!free_.empty() && budget_.over()) {
    budget_.AddIdle(-free_.back().byte_size());
    free_.pop_back();
  }
}

}  // namespace sluice
