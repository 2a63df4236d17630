#include "runtime/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

#include "sluice/error.h"

namespace sluice {
namespace {

bool Overlap(const Lifetime& a, int64_t at, const Lifetime& b, int64_t bt) {
  return a.bytes > 0 && b.bytes > 0 && at < bt + b.bytes && bt < at + a.bytes;
}

TEST(MemoryPlanTest, AChainNeedsTwoBuffers) {
  const std::vector<Lifetime> chain = {{1024, 0, 1}, {1024, 1, 2}, {1024, 2, 3}, {1024, 3, 4}};
  const MemoryPlan plan = PlanMemory(chain);
  EXPECT_EQ(plan.arena_bytes, 2048);
  EXPECT_EQ(plan.live_peak_bytes, 2048);
}

TEST(MemoryPlanTest, NothingToPlace) {
  EXPECT_EQ(PlanMemory({}).arena_bytes, 0);
  const std::vector<Lifetime> empty = {{0, 0, 5}, {0, 1, 2}};
  EXPECT_EQ(PlanMemory(empty).arena_bytes, 0);
}

TEST(MemoryPlanTest, RefusesAbsurdSizes) {
  const std::vector<Lifetime> huge(8, Lifetime{int64_t{1} << 45, 0, 1});
  EXPECT_THROW(PlanMemory(huge), Error);
  const std::vector<Lifetime> one = {{INT64_MAX, 0, 1}};
  EXPECT_THROW(PlanMemory(one), Error);
}

TEST(MemoryPlanTest, RandomLifetimesNeverCollide) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<Lifetime> buffers(random() % 60);
    for (Lifetime& buffer : buffers) {
      buffer.bytes = static_cast<int64_t>(random() % 5000);
      buffer.first = static_cast<int>(random() % 50);
      buffer.last = buffer.first + static_cast<int>(random() % 10);
    }
    const MemoryPlan plan = PlanMemory(buffers);
    EXPECT_GE(plan.arena_bytes, plan.live_peak_bytes);
    for (size_t i = 0; i < buffers.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % 64, 0);
      EXPECT_LE(plan.offsets[i] + buffers[i].bytes, std::max(plan.arena_bytes, plan.offsets[i]));
      for (size_t j = 0; j < i; ++j) {
        const bool together = buffers[i].first <= buffers[j].last && buffers[j].first <= buffers[i].last;
        EXPECT_FALSE(together && Overlap(buffers[i], plan.offsets[i], buffers[j], plan.offsets[j]))
            << i << " and " << j;
      }
    }
  }
}

TEST(MemoryPlanTest, ReuseIsOrderedUnlessImplied) {
  // Steps 0 and 1 are independent; buffer 1 (written by step 2) takes the place of buffer 0.
  const std::vector<Lifetime> buffers = {{64, 0, 1}, {64, 2, 3}};
  const MemoryPlan plan = PlanMemory(buffers);
  ASSERT_EQ(plan.offsets[0], plan.offsets[1]);
  const std::vector<Accesses> accesses = {{{0, 1}, 0}, {{2, 3}, 2}};
  const std::vector<std::vector<int>> none(4);
  const std::vector<Edge> edges = OverlapEdges(buffers, plan, accesses, none);
  ASSERT_EQ(edges.size(), 2u);
  EXPECT_EQ(edges[0].from, 0);
  EXPECT_EQ(edges[1].from, 1);
  EXPECT_EQ(edges[1].to, 2);
  const std::vector<std::vector<int>> chain = {{1}, {2}, {3}, {}};
  EXPECT_TRUE(OverlapEdges(buffers, plan, accesses, chain).empty());
}

}  // namespace
}  // namespace sluice
