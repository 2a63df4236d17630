#pragma once

#include <cstdint>
#include <string>

#include "tools/serve/types.h"

namespace sluice::serve {

struct TlsOptions {
  std::string certificate, key;  // PEM files; empty: no TLS
  std::string client_ca;         // PEM file; clients must show a certificate that it signed
};

// What a protocol accepts; everything beyond is refused with kTooLarge or by closing the connection.
struct Limits {
  int64_t max_request_bytes = int64_t{64} << 20;  // of a body, after decompression too
  int64_t max_header_bytes = 16 << 10;
  int max_json_depth = 64;
  int max_tensors = 1024;  // inputs and requested outputs of a request
  int max_connections = 16384;
  int64_t max_inflight_bytes = int64_t{1} << 30;  // of the bodies of all requests being read or served
  int64_t header_timeout_ms = 10'000;             // for a request's head
  int64_t body_timeout_ms = 60'000;               // for a body without progress of at least 1 KiB/s
  int64_t idle_timeout_ms = 120'000;              // of a kept connection
  // After which, and a tenth more or less, a gRPC connection is asked to end; 0: never.
  int64_t grpc_connection_age_ms = 0;
};

struct FrontEndOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;  // 0: any that is free
  int threads = 2;
  TlsOptions tls;
  Limits limits;
};

// A protocol's listener. Made by NewHttpServer (http/http_server.h) and NewGrpcServer (grpc/grpc_server.h),
// which throw Error{kInvalidArgument} where the address is taken or certificates do not load.
class FrontEnd {
 public:
  // Ends at once what is still open.
  virtual ~FrontEnd() = default;
  virtual uint16_t port() const = 0;
  // No new connections; requests in flight and those that arrive on open connections are served, then the
  // connections are closed. Whether all was over in time.
  virtual bool Drain(Clock::time_point until) = 0;
};

}  // namespace sluice::serve
