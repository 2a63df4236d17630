#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "runtime/plan.h"
#include "sluice/session.h"

namespace sluice {

// Sets what a finished plan holds: `packed`, `own_bytes` and the whole of info.packed_bytes. `held` lived while its
// kernels were prepared.
void CountMemory(Plan& plan, HeldScope& held);

// Counts what the kept plans and the idle arenas of a session hold, those of its nested graphs included.
// Packed weights that several plans share count once. Thread-safe.
class CacheBudget {
 public:
  // Below 1 plan counts as 1, below 0 bytes as 0.
  CacheBudget(int max_plans, int64_t max_bytes);

  size_t max_plans() const { return max_plans_; }
  // More is held than may be.
  bool over() const;

  // A plan is kept from now on, or no longer.
  void Add(const Plan& plan);
  void Remove(const Plan& plan);
  // An arena comes to rest (bytes > 0), or is taken or freed (bytes < 0).
  void AddIdle(int64_t bytes);

  CacheInfo info() const;

 private:
  const size_t max_plans_;
  const int64_t max_bytes_;
  mutable std::mutex mutex_;
  CacheInfo info_;
  std::map<const Tensor*, int> packed_;  // how many plans hold it
};

}  // namespace sluice
