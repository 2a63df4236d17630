#pragma once

#include "tests/serve/grpc/fixture.h"

namespace sluice::serve {

// A server whose calls end when the test says so.
class HeldCallsTest : public GrpcTest {
 protected:
  // The service keeps requests until Release.
  void Hold() {
    service_.on_infer = [this](InferRequest request, auto done) {
      const std::lock_guard lock(mutex_);
      held_.emplace_back(std::make_shared<InferRequest>(std::move(request)), done);
    };
  }
  void Release() {
    decltype(held_) held;
    {
      const std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (auto& [request, done] : held) done(FakeService::Echo(*request));
  }
  std::shared_ptr<InferRequest> Held(size_t i) {
    const std::lock_guard lock(mutex_);
    return i < held_.size() ? held_[i].first : nullptr;
  }

  std::mutex mutex_;
  std::vector<std::pair<std::shared_ptr<InferRequest>, std::function<void(Service::Answer)>>> held_;
};

}  // namespace sluice::serve
