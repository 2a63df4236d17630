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

// A part of a joined value that is written late leaves its place to others until then.
TEST(MemoryPlanTest, PiecesOfABlockKeepTheirDistanceAndTheirOwnLifetimes) {
  const std::vector<Lifetime> pieces = {{1024, 0, 9, 7, 0}, {1024, 8, 9, 7, 1024}, {1024, 1, 3}, {512, 4, 7}};
  const MemoryPlan plan = PlanMemory(pieces);
  EXPECT_EQ(plan.offsets[1], plan.offsets[0] + 1024);
  EXPECT_EQ(plan.live_peak_bytes, 2048);
  EXPECT_EQ(plan.arena_bytes, 2048);
}

TEST(MemoryPlanTest, RandomBlocksNeverCollide) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<Lifetime> pieces;
    for (int block = 0; block < 20; ++block) {
      int64_t offset = 0;
      for (unsigned piece = 0; piece < 1 + random() % 3; ++piece) {
        const int first = static_cast<int>(random() % 40);
        pieces.push_back({static_cast<int64_t>(random() % 3000), first, first + static_cast<int>(random() % 10), block,
                          offset});
        offset += pieces.back().bytes;
      }
    }
    const MemoryPlan plan = PlanMemory(pieces);
    EXPECT_GE(plan.arena_bytes, plan.live_peak_bytes);
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (pieces[i].bytes == 0) continue;
      EXPECT_EQ((plan.offsets[i] - pieces[i].offset) % 64, 0);
      EXPECT_LE(plan.offsets[i] + pieces[i].bytes, plan.arena_bytes);
      for (size_t j = 0; j < i; ++j) {
        const bool together = pieces[i].first <= pieces[j].last && pieces[j].first <= pieces[i].last;
        EXPECT_FALSE(together && Overlap(pieces[i], plan.offsets[i], pieces[j], plan.offsets[j])) << i << ", " << j;
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

TEST(MemoryPlanTest, DropsEdgesThatOthersImply) {
  // 0 -> 1 -> 2 -> 3 with shortcuts, and a branch 0 -> 4.
  std::vector<std::vector<int>> successors = {{4, 3, 1, 2, 1}, {3, 2}, {3}, {}, {}};
  DropImpliedEdges(successors);
  EXPECT_EQ(successors, (std::vector<std::vector<int>>{{1, 4}, {2}, {3}, {}, {}}));
}

// A and C lie in the same place with B between them: A before B before C is all that must be said. D takes
// a part of B's place that C leaves.
TEST(MemoryPlanTest, OrderFollowsFromTheOneBetween) {
  const std::vector<Lifetime> buffers = {{128, 0, 1}, {128, 2, 3}, {64, 4, 5}, {64, 4, 5}};
  const MemoryPlan plan = {{0, 0, 0, 64}, 128, 128};
  const std::vector<Accesses> accesses = {{{0, 1}, 0}, {{2, 3}, 2}, {{4, 5}, 4}, {{4, 5}, 4}};
  const std::vector<std::vector<int>> none(6);
  const std::vector<Edge> edges = OverlapEdges(buffers, plan, accesses, none);
  std::vector<std::pair<int, int>> found;
  for (const Edge& edge : edges) found.emplace_back(edge.from, edge.to);
  EXPECT_EQ(found, (std::vector<std::pair<int, int>>{{0, 2}, {1, 2}, {2, 4}, {3, 4}}));
}

// Whoever shares memory is ordered by a path of edges, whatever the lifetimes.
TEST(MemoryPlanTest, RandomReuseIsOrdered) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    constexpr int kSteps = 60;
    std::vector<Lifetime> buffers;
    std::vector<Accesses> accesses;
    std::vector<std::vector<int>> successors(kSteps);
    for (int step = 0; step < kSteps; ++step) {
      // Written by this step, read by some later ones, which depend on it.
      Accesses touched{{step}, step};
      int last = step;
      for (unsigned reader = 0; reader < random() % 3; ++reader) {
        last = std::min(kSteps - 1, last + 1 + static_cast<int>(random() % 6));
        if (last == step) continue;
        touched.steps.push_back(last);
        successors[static_cast<size_t>(step)].push_back(last);
      }
      buffers.push_back({1 + static_cast<int64_t>(random() % 500), step, last});
      accesses.push_back(touched);
    }
    const MemoryPlan plan = PlanMemory(buffers);
    std::vector<std::vector<bool>> reaches(kSteps, std::vector<bool>(kSteps, false));
    for (const Edge& edge : OverlapEdges(buffers, plan, accesses, successors)) {
      successors[static_cast<size_t>(edge.from)].push_back(edge.to);
    }
    for (size_t from = kSteps; from-- > 0;) {
      for (int to : successors[from]) {
        reaches[from][static_cast<size_t>(to)] = true;
        for (size_t i = 0; i < kSteps; ++i) {
          if (reaches[static_cast<size_t>(to)][i]) reaches[from][i] = true;
        }
      }
    }
    for (size_t i = 0; i < buffers.size(); ++i) {
      for (size_t j = 0; j < buffers.size(); ++j) {
        if (buffers[i].last >= buffers[j].first ||
            !Overlap(buffers[i], plan.offsets[i], buffers[j], plan.offsets[j])) {
          continue;
        }
        for (int from : accesses[i].steps) {
          for (int to : accesses[j].steps) {
            EXPECT_TRUE(reaches[static_cast<size_t>(from)][static_cast<size_t>(to)]) << from << " and " << to;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice
