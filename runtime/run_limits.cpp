#include "runtime/run_limits.h"

namespace sluice {

thread_local constinit const RunLimits* RunLimits::current_ = nullptr;

void RunLimits::Check() const {
  if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
    throw Error(ErrorCode::kCancelled, "the run was cancelled");
  }
  if (options_.deadline && std::chrono::steady_clock::now() >= *options_.deadline) {
    throw Error(ErrorCode::kDeadlineExceeded, "the run did not end by its deadline");
  }
}

}  // namespace sluice
