#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice::serve::rpc {

// A few threads for calls that may wait: loading and unloading models. Started when first needed.
class Workers {
 public:
  Workers() = default;
  ~Workers();  // what was accepted is run to its end
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False where too many wait already.
  bool Add(std::function<void()> work);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  size_t idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::serve::rpc
