#include "runtime/cache_budget.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

PackedWeights Packed(int64_t bytes) { return std::make_shared<const Tensor>(DataType::kUInt8, Shape{bytes}); }

TEST(CacheBudget, SharedWeightsCountOnce) {
  CacheBudget budget(4, 1000);
  Plan a, b;
  const PackedWeights shared = Packed(600);
  a.own_bytes = 10;
  a.packed = {shared, Packed(50)};
  b.own_bytes = 20;
  b.packed = {shared};
  budget.Add(a);
  EXPECT_EQ(budget.info().plan_bytes, 660);
  budget.Add(b);
  EXPECT_EQ(budget.info().plan_bytes, 680);
  EXPECT_FALSE(budget.over());
  budget.Remove(a);
  EXPECT_EQ(budget.info().plan_bytes, 620);
  budget.Remove(b);
  EXPECT_EQ(budget.info().plan_bytes, 0);
  EXPECT_EQ(budget.info().plans, 0);
  EXPECT_EQ(budget.info().plans_made, 2);
}

TEST(CacheBudget, PlansAndArenasCountTogether) {
  CacheBudget budget(4, 1000);
  Plan plan;
  plan.own_bytes = 400;
  budget.Add(plan);
  budget.AddIdle(600);
  EXPECT_FALSE(budget.over());
  budget.AddIdle(1);
  EXPECT_TRUE(budget.over());
  budget.AddIdle(-601);
  EXPECT_EQ(budget.info().idle_arena_bytes, 0);
  EXPECT_FALSE(budget.over());
  plan.own_bytes = 1001;
  budget.Add(plan);
  EXPECT_TRUE(budget.over());
}

TEST(CacheBudget, TakesLimitsThatMakeNoSense) {
  EXPECT_EQ(CacheBudget(0, 5).max_plans(), 1u);
  EXPECT_EQ(CacheBudget(-3, 5).max_plans(), 1u);
  CacheBudget budget(1, -5);
  EXPECT_FALSE(budget.over());
  budget.AddIdle(1);
  EXPECT_TRUE(budget.over());
}

}  // namespace
}  // namespace sluice
