#pragma once

#include <mutex>
#include <vector>

#include "sluice/tensor.h"

namespace sluice {

// Memory for the intermediate values of runs, kept between runs. Holds at most as many blocks as runs
// were under way at once, whatever their sizes. Thread-safe.
class ArenaPool {
 public:
  // A byte tensor of at least `bytes`, aligned to 64. Throws Error{kOutOfMemory}.
  Tensor Take(int64_t bytes);
  void Give(Tensor block);
  // Bytes of the blocks at rest.
  int64_t idle_bytes() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Tensor> free_;  // ascending size
};

}  // namespace sluice
