#include "tools/serve/grpc/status.h"

#include <grpcpp/server_context.h>

#include <algorithm>
#include <string>

namespace sluice::serve::rpc {

grpc::StatusCode CodeOf(Reason reason) {
  switch (reason) {
    case Reason::kInvalid:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Reason::kUnauthenticated:
      return grpc::StatusCode::UNAUTHENTICATED;
    case Reason::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case Reason::kTimeout:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Reason::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case Reason::kTooLarge:
    case Reason::kRateLimited:
    case Reason::kOverloaded:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Reason::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case Reason::kUnsupported:
      return grpc::StatusCode::UNIMPLEMENTED;
    case Reason::kInternal:
      return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

grpc::Status StatusOf(const ServeError& error, grpc::CallbackServerContext& context) {
  int seconds = error.retry_after_s();
  if (seconds <= 0 && error.reason() == Reason::kOverloaded) seconds = 1;
  if (seconds > 0) {
    context.AddTrailingMetadata("retry-after", std::to_string(seconds));
    context.AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(std::min(seconds, 3600) * 1000));
  }
  return {CodeOf(error.reason()), error.what()};
}

}  // namespace sluice::serve::rpc
