#include "runtime/cache_budget.h"

#include <algorithm>

namespace sluice {

void CountMemory(Plan& plan, HeldScope& held) {
  // What a step takes beside its kernel's private data: itself, its slots and their names.
  constexpr int64_t kStepBytes = 2048;
  plan.packed = held.TakePacked();
  // Constants that were reordered for kernels are in info.packed_bytes already.
  plan.own_bytes = held.counted_bytes() + plan.info.packed_bytes + kStepBytes * static_cast<int64_t>(plan.steps.size());
  for (const Tensor& constant : plan.constants) plan.own_bytes += constant.byte_size();
  for (const PackedWeights& packed : plan.packed) plan.info.packed_bytes += packed->byte_size();
}

CacheBudget::CacheBudget(int max_plans, int64_t max_bytes)
    : max_plans_(static_cast<size_t>(std::max(1, max_plans))), max_bytes_(std::max<int64_t>(0, max_bytes)) {}

bool CacheBudget::over() const {
  const std::lock_guard lock(mutex_);
  return info_.plan_bytes > max_bytes_ || info_.idle_arena_bytes > max_bytes_ - info_.plan_bytes;
}

void CacheBudget::Add(const Plan& plan) {
  const std::lock_guard lock(mutex_);
  ++info_.plans;
  ++info_.plans_made;
  info_.plan_bytes += plan.own_bytes;
  for (const PackedWeights& packed : plan.packed) {
    if (++packed_[packed.get()] == 1) info_.plan_bytes += packed->byte_size();
  }
}

void CacheBudget::Remove(const Plan& plan) {
  const std::lock_guard lock(mutex_);
  --info_.plans;
  info_.plan_bytes -= plan.own_bytes;
  for (const PackedWeights& packed : plan.packed) {
    const auto entry = packed_.find(packed.get());
    if (--entry->second > 0) continue;
    info_.plan_bytes -= packed->byte_size();
    packed_.erase(entry);
  }
}

void CacheBudget::AddIdle(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  info_.idle_arena_bytes += bytes;
}

CacheInfo CacheBudget::info() const {
  const std::lock_guard lock(mutex_);
  return info_;
}

}  // namespace sluice
