#pragma once

#include "tools/serve/types.h"

namespace sluice::serve {

// Whether bytes keep coming: kLeastBytesPerSecond over each span of `timeout_ms`.
class Progress {
 public:
  static constexpr int64_t kLeastBytesPerSecond = 1024;

  void Start(Clock::time_point now, int64_t timeout_ms) {
    timeout_ms_ = timeout_ms;
    Restart(now);
  }
  void Add(size_t bytes) {
    bytes_ += static_cast<int64_t>(bytes);
    if (bytes_ * 1000 >= kLeastBytesPerSecond * timeout_ms_) Restart(Clock::now());
  }
  Clock::time_point deadline() const { return deadline_; }

 private:
  void Restart(Clock::time_point now) {
    bytes_ = 0;
    deadline_ = now + std::chrono::milliseconds(timeout_ms_);
  }

  int64_t timeout_ms_ = 0, bytes_ = 0;
  Clock::time_point deadline_;
};

}  // namespace sluice::serve
