#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <string>
#include <string_view>

#include "tools/serve/types.h"

namespace sluice::serve::rpc {

// A ModelInferResponse, or with `in_stream` a ModelStreamInferResponse that holds it. Tensors are in
// raw_output_contents; the buffer keeps large ones where they are. Throws ServeError{kUnsupported} for
// element types that the protocol has no name for, {kTooLarge} beyond 2 GiB.
grpc::ByteBuffer WriteInferResponse(const InferResponse& response, bool in_stream);

// A ModelStreamInferResponse that says why a request of a stream has no answer.
grpc::ByteBuffer WriteStreamError(std::string_view message, const std::string& model, const std::string& id);

}  // namespace sluice::serve::rpc
