#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <string_view>

#include "tools/serve/service.h"

namespace sluice::serve::rpc {

// A call with one message each way, but for ModelInfer.
struct Method {
  std::string_view name;
  // Health is asked by those who have no key: load balancers, orchestrators.
  bool needs_key;
  bool waits;  // for a model to load: not on gRPC's threads
  // Throws ServeError.
  grpc::ByteBuffer (*answer)(grpc::ByteBuffer& request, int64_t max_bytes, Service& service);
};

// `name` as in "ModelMetadata"; null for one that is not there.
const Method* FindMethod(std::string_view name);

}  // namespace sluice::serve::rpc
