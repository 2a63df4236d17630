#pragma once

#include <grpcpp/support/status.h>

#include "tools/serve/types.h"

namespace grpc {
class CallbackServerContext;
}

namespace sluice::serve::rpc {

grpc::StatusCode CodeOf(Reason reason);

// The status of an error; when to try again goes into the trailing metadata of `context`: `retry-after` in
// seconds, and `grpc-retry-pushback-ms`, which gRPC's own retries follow.
grpc::Status StatusOf(const ServeError& error, grpc::CallbackServerContext& context);

}  // namespace sluice::serve::rpc
