#include "tools/serve/grpc/hold.h"

#include <algorithm>
#include <utility>

namespace sluice::serve::rpc {
namespace {

// Calls that have less time left are not kept: their clients would see a deadline that has passed.
constexpr auto kLeast = std::chrono::milliseconds(100);

}  // namespace

void Hold::Begin() { holding_ = true; }

bool Hold::Due(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  return now >= due_;
}

void Hold::End() {
  std::vector<std::function<void()>> kept;
  {
    const std::lock_guard lock(mutex_);
    holding_ = false;
    due_ = Clock::time_point::max();
    kept.swap(kept_);
  }
  for (const auto& answer : kept) answer();
}

bool Hold::Keep(std::optional<Clock::time_point> deadline, std::function<void()> answer) {
  const auto now = Clock::now();
  if (deadline && *deadline - now < kLeast) return false;
  const std::lock_guard lock(mutex_);
  if (!holding_) return false;
  kept_.push_back(std::move(answer));
  if (deadline) due_ = std::min(due_, now + (*deadline - now) / 2);
  return true;
}

}  // namespace sluice::serve::rpc
