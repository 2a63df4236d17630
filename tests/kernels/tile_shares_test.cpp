#include "kernels/tile_shares.h"

#include <thread>

namespace sluice {
namespace {

TEST(TileShares, AThreadTakesItsOwnRangeFromTheFirstAndThenTheLastOfOthers) {
  std::atomic<uint64_t> ranges[2];
  TileShares shares(ranges);
  shares.Reset(7);  // 0 to 3 and 4 to 6
  std::vector<int64_t> order;
  for (int64_t tile; (tile = shares.Take(1, 2)) >= 0;) order.push_back(tile);
  EXPECT_EQ(order, (std::vector<int64_t>{4, 5, 6, 3, 2, 1, 0}));
  EXPECT_EQ(shares.Take(0, 2), -1);
}

TEST(TileShares, MoreThreadsThanRangesShareThem) {
  EXPECT_EQ(TileShares::Count(3, 16), 3);
  EXPECT_EQ(TileShares::Count(1000, 256), TileShares::kMost);
  EXPECT_EQ(TileShares::Count(0, 4), 1);
  std::atomic<uint64_t> ranges[3];
  TileShares shares(ranges);
  shares.Reset(3);
  EXPECT_EQ(shares.Take(0, 16), 0);
  EXPECT_EQ(shares.Take(15, 16), 2);
  EXPECT_EQ(shares.Take(8, 16), 1);
  EXPECT_EQ(shares.Take(3, 16), -1);
  shares.Reset(0);
  EXPECT_EQ(shares.Take(3, 16), -1);
}

TEST(TileShares, EveryTileIsHandedOutOnce) {
  constexpr int64_t kTiles = 20'000;
  constexpr int kThreads = 4;
  std::atomic<uint64_t> ranges[3];
  TileShares shares(ranges);
  shares.Reset(kTiles);
  std::vector<std::atomic<int>> taken(kTiles);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t tile; (tile = shares.Take(t, kThreads)) >= 0;) ++taken[static_cast<size_t>(tile)];
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& times : taken) ASSERT_EQ(times, 1);
}

}  // namespace
}  // namespace sluice
