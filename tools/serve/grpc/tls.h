#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "tools/serve/front_end.h"

namespace sluice::serve::rpc {

// Certificates that are read again when their files change. Without a certificate: no TLS. Throws
// Error{kInvalidArgument} naming the file that does not load.
std::shared_ptr<grpc::ServerCredentials> NewCredentials(const TlsOptions& options);

}  // namespace sluice::serve::rpc
