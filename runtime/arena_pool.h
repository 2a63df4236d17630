#pragma once

#include <mutex>
#include <vector>

#include "runtime/cache_budget.h"
#include "runtime/run_hooks.h"
#include "sluice/tensor.h"

namespace sluice {

// Memory for the intermediate values of runs, kept between runs. Holds at most as many blocks as runs
// were under way at once, whatever their sizes. Thread-safe.
class ArenaPool {
 public:
  // The budget counts the blocks at rest; it must outlive the pool. Null: memory of the process's own.
  explicit ArenaPool(CacheBudget& budget, std::shared_ptr<Allocator> allocator = nullptr)
      : budget_(budget), allocator_(std::move(allocator)) {}
  ~ArenaPool();
  // A byte tensor of at least `bytes`, aligned to 64. Throws Error{kOutOfMemory}.
  Tensor Take(int64_t bytes);
  void Give(Tensor block);
  // Frees blocks at rest, the largest first, while the budget is exceeded.
  void Shrink();

 private:
  CacheBudget& budget_;
  const std::shared_ptr<Allocator> allocator_;
  std::mutex mutex_;
  std::vector<Tensor> free_;  // ascending size
};

}  // namespace sluice
