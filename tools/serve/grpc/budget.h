#pragma once

#include <atomic>
#include <cstdint>

#include "tools/serve/types.h"

namespace sluice::serve::rpc {

// Bytes of requests that are held at a time, against a limit. Thread-safe; outlives its charges.
class Budget {
 public:
  explicit Budget(int64_t limit) : limit_(limit) {}
  int64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  friend class Charge;
  const int64_t limit_;
  std::atomic<int64_t> used_{0};
};

// What one request has taken of a budget; given back when it ends.
class Charge {
 public:
  explicit Charge(std::shared_ptr<Budget> budget) : budget_(std::move(budget)) {}
  ~Charge() { budget_->used_.fetch_sub(bytes_, std::memory_order_relaxed); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  // Throws ServeError{kOverloaded} beyond the limit.
  void Add(int64_t bytes) {
    if (budget_->used_.fetch_add(bytes, std::memory_order_relaxed) + bytes > budget_->limit_) {
      budget_->used_.fetch_sub(bytes, std::memory_order_relaxed);
      throw ServeError(Reason::kOverloaded, "too many bytes of requests in flight", 1);
    }
    bytes_ += bytes;
  }

 private:
  std::shared_ptr<Budget> budget_;
  int64_t bytes_ = 0;
};

}  // namespace sluice::serve::rpc
