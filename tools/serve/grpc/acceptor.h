#pragma once

#include <grpcpp/server_builder.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>

#include "tools/serve/refused_request.h"

namespace sluice::serve::rpc {

// Listens and hands connections to a gRPC server: gRPC itself neither limits their number nor stops listening
// while it serves, and shares its port with any other process that asks.
class Acceptor {
 public:
  using Sink = std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor>;

  // Binds; port 0: any that is free. Throws Error{kInvalidArgument}.
  Acceptor(const std::string& address, uint16_t port, int max_connections);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  uint16_t port() const { return port_; }
  RefusedConnections& refused() { return refused_; }
  // Accepts from here on; the server behind `sink` runs until Stop.
  void Start(Sink sink);
  // As Stop, when those that have begun to connect have done so.
  void End();
  // No more connections; those that are open stay. Returns when none can come any more.
  void Stop();
  // Those that are open. After Stop alone.
  int Connections();

 private:
  void Run();
  // Takes note of connections that have closed. Whether there are new ones to accept.
  bool Look(int timeout_ms);
  void AcceptAll();
  void Watch(int connection);

  const int max_connections_;
  uint16_t port_ = 0;
  Sink sink_;
  int listener_ = -1, epoll_ = -1, wake_ = -1;
  // A second descriptor of each connection, which tells when it closes.
  std::unordered_set<int> watched_;
  int connections_ = 0;
  RefusedConnections refused_{"grpc"};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace sluice::serve::rpc
