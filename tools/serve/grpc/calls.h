#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "tools/serve/access.h"
#include "tools/serve/front_end.h"
#include "tools/serve/grpc/budget.h"
#include "tools/serve/grpc/hold.h"
#include "tools/serve/grpc/workers.h"
#include "tools/serve/service.h"

namespace sluice::serve::rpc {

// Calls whose message has not come yet, so that those that take too long can be ended. Thread-safe.
class Waiting {
 public:
  void Add(grpc::CallbackServerContext* context, Clock::time_point until);
  void Remove(grpc::CallbackServerContext* context);
  // Cancels those that are late.
  void Sweep(Clock::time_point now);

 private:
  std::mutex mutex_;
  std::unordered_map<grpc::CallbackServerContext*, Clock::time_point> calls_;
};

// What all calls of a server share.
struct Front {
  Front(const Limits& limits, Service& service, const Access& access)
      : limits(limits),
        service(service),
        access(access),
        budget(std::make_shared<Budget>(limits.max_inflight_bytes)) {}

  const Limits limits;
  Service& service;
  const Access& access;
  const std::shared_ptr<Budget> budget;
  std::atomic<int64_t> calls{0};    // under way
  std::atomic<int64_t> arrived{0};  // ever
  Hold hold;                        // of the answers of calls with one
  Waiting waiting;
  Workers workers;
};

// Every call but those of the health service: they arrive as bytes, so that keys are checked before a message
// is read, and messages against limits before they are parsed.
class Calls : public grpc::CallbackGenericService {
 public:
  explicit Calls(Front& front) : front_(front) {}
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

 private:
  Front& front_;
};

// The name of the API key or of the certificate of a call. Throws ServeError as Access::Check does.
std::string CheckCaller(const grpc::CallbackServerContext& context, const Access& access);

// What a request takes from its call: when it must be done, who asks, its ids.
struct CallFacts {
  std::string client, request_id, traceparent;
  std::optional<Clock::time_point> deadline;
};
CallFacts FactsOf(const grpc::CallbackServerContext& context, std::string client);
std::optional<Clock::time_point> DeadlineOf(const grpc::CallbackServerContext& context);
// A line of the log for a request that the service has not seen. `method` and `facts` say of which call.
void LogRefusal(const grpc::CallbackServerContext& context, std::string_view method, const CallFacts& facts,
                std::string_view model, std::string_view id, const ServeError& error,
                Clock::time_point received);
void Apply(const CallFacts& facts, InferRequest& request);

// "" where it is not there.
std::string_view Metadata(const grpc::CallbackServerContext& context, const char* name);

grpc::ServerGenericBidiReactor* NewInferCall(Front& front, grpc::CallbackServerContext* context,
                                             std::string client);
grpc::ServerGenericBidiReactor* NewStreamCall(Front& front, grpc::CallbackServerContext* context,
                                              std::string client);

}  // namespace sluice::serve::rpc
