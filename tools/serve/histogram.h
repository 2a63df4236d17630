#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::serve {

// Counts of values up to each of N bounds, and beyond. Not thread-safe.
template <size_t N>
class Histogram {
 public:
  explicit constexpr Histogram(const std::array<int64_t, N>& bounds) : bounds_(bounds) {}

  void Add(int64_t value) {
    const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    ++counts_[static_cast<size_t>(at - bounds_.begin())];
    sum_ += value;
  }
  std::span<const int64_t, N> bounds() const { return bounds_; }
  // One more than there are bounds.
  std::span<const uint64_t, N + 1> counts() const { return counts_; }
  int64_t sum() const { return sum_; }

 private:
  std::array<int64_t, N> bounds_;
  std::array<uint64_t, N + 1> counts_ = {};
  int64_t sum_ = 0;
};

// 100 us to 30 s in steps of 1, 2, 5.
inline constexpr std::array<int64_t, 17> kLatencyBounds = {
    100'000,       200'000,       500'000,       1'000'000,      2'000'000,     5'000'000,
    10'000'000,    20'000'000,    50'000'000,    100'000'000,    200'000'000,   500'000'000,
    1'000'000'000, 2'000'000'000, 5'000'000'000, 10'000'000'000, 30'000'000'000};
inline constexpr std::array<int64_t, 9> kBatchBounds = {1, 2, 4, 8, 16, 32, 64, 128, 256};

using LatencyHistogram = Histogram<kLatencyBounds.size()>;
using BatchHistogram = Histogram<kBatchBounds.size()>;

}  // namespace sluice::serve
