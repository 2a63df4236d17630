#include "runtime/arena_pool.h"

#include <algorithm>

namespace sluice {

Tensor ArenaPool::Take(int64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    const auto fits = std::find_if(free_.begin(), free_.end(),
                                   [&](const Tensor& block) { return block.byte_size() >= bytes; });
    if (fits != free_.end()) {
      Tensor block = std::move(*fits);
      free_.erase(fits);
      return block;
    }
    // A larger block takes the place of the largest that is too small.
    if (!free_.empty()) free_.pop_back();
  }
  return Tensor(DataType::kUInt8, {bytes});
}

void ArenaPool::Give(Tensor block) {
  const std::lock_guard lock(mutex_);
  const auto at = std::find_if(free_.begin(), free_.end(),
                               [&](const Tensor& other) { return other.byte_size() >= block.byte_size(); });
  free_.insert(at, std::move(block));
}

int64_t ArenaPool::idle_bytes() const {
  const std::lock_guard lock(mutex_);
  int64_t bytes = 0;
  for (const Tensor& block : free_) bytes += block.byte_size();
  return bytes;
}

}  // namespace sluice
