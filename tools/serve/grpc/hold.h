#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "tools/serve/types.h"

namespace sluice::serve::rpc {

// Keeps the answers of calls back while the server is about to shut down: clients that wait for one before
// they ask again send nothing meanwhile. Thread-safe.
class Hold {
 public:
  // Runs `answer`: now, or at End.
  template <typename Function>
  void Pass(std::optional<Clock::time_point> deadline, Function answer) {
    if (!holding_.load(std::memory_order_acquire) || !Keep(deadline, answer)) answer();
  }
  void Begin();
  // Whether an answer is kept whose call had twice as much time left when it was given.
  bool Due(Clock::time_point now);
  // Gives what is kept.
  void End();

 private:
  bool Keep(std::optional<Clock::time_point> deadline, std::function<void()> answer);

  std::atomic<bool> holding_{false};
  std::mutex mutex_;
  std::vector<std::function<void()>> kept_;
  Clock::time_point due_ = Clock::time_point::max();
};

}  // namespace sluice::serve::rpc
