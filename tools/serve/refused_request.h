#pragma once

#include <string_view>

#include "tools/serve/types.h"

namespace sluice::serve {

// A request that a protocol turned away before the service saw it; the service logs all others.
struct RefusedRequest {
  std::string_view protocol = {};  // "http", "grpc"
  std::string_view call = {};      // the path, of which only what stands before a '?' is told, or the method
  std::string_view peer = {};      // address of the client
  std::string_view model = {};
  std::string_view request_id = {};
  std::string_view outcome = {};  // ReasonName
  std::string_view error = {};    // as the client reads it
  std::string_view id = {};       // the client's
  std::string_view client = {};
  std::string_view traceparent = {};
  Clock::time_point received;
};

// A line of the access log, where there is one.
void LogRefused(const RefusedRequest& refused);

// Connections that were refused because there are as many as may be: counted, and told of in a line now and
// then. Thread-safe.
class RefusedConnections {
 public:
  explicit RefusedConnections(std::string_view protocol) : protocol_(protocol) {}
  void Add() { count_.fetch_add(1, std::memory_order_relaxed); }
  // A warning, where there are any since the last one.
  void Log();

 private:
  const std::string_view protocol_;
  std::atomic<int64_t> count_{0};
};

}  // namespace sluice::serve
