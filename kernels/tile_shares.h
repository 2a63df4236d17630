#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>

#include "kernels/parallel.h"

namespace sluice {

// Tiles [0, n) of one piece of work, each handed out once, in one range for each thread. A thread takes those
// of its own range, from the first on, and then the last of others': so it makes the same part of one value
// after another and finds what it reads in its own caches. Where cores share no cache, a step takes up to
// twice as long if parts change hands. Lives in memory of the caller; thread-safe after Reset. n < 2^32.
class TileShares {
 public:
  static constexpr int64_t kMost = 64;

  // `ranges` has one element a thread or, for work of less tiles, one a tile; at most kMost.
  explicit TileShares(std::span<std::atomic<uint64_t>> ranges) : ranges_(ranges) {}
  static int64_t Count(int64_t n, int64_t threads) {
    return std::clamp<int64_t>(std::min(n, threads), 1, kMost);
  }

  void Reset(int64_t n) {
    const auto count = static_cast<int64_t>(ranges_.size());
    for (int64_t i = 0; i < count; ++i) {
      const Range range = PieceOf(n, count, i);
      ranges_[static_cast<size_t>(i)].store(Pack(range.begin, range.end), std::memory_order_relaxed);
    }
  }

  // A tile for the thread of this number, 0 <= thread < threads; -1 when all are handed out.
  int64_t Take(int64_t thread, int64_t threads) {
    const auto count = static_cast<int64_t>(ranges_.size());
    const int64_t home = thread * count / threads;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t tile = TakeFrom(ranges_[static_cast<size_t>((home + i) % count)], i == 0);
      if (tile >= 0) return tile;
    }
    return -1;
  }

 private:
  // The first tile in the upper half, the end in the lower.
  static uint64_t Pack(int64_t begin, int64_t end) {
    return static_cast<uint64_t>(begin) << 32 | static_cast<uint64_t>(end);
  }
  static int64_t TakeFrom(std::atomic<uint64_t>& packed, bool first) {
    uint64_t range = packed.load(std::memory_order_relaxed);
    for (;;) {
      const auto begin = static_cast<int64_t>(range >> 32), end = static_cast<int64_t>(range & 0xffffffff);
      if (begin >= end) return -1;
      const uint64_t rest = first ? Pack(begin + 1, end) : Pack(begin, end - 1);
      if (packed.compare_exchange_weak(range, rest, std::memory_order_relaxed))
        return first ? begin : end - 1;
    }
  }

  std::span<std::atomic<uint64_t>> ranges_;
};

}  // namespace sluice
