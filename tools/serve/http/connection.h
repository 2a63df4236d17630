#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/strand.hpp>
#include <memory>
#include <shared_mutex>

#include "tools/serve/front_end.h"
#include "tools/serve/http/body.h"
#include "tools/serve/http/router.h"
#include "tools/serve/service.h"

namespace sluice::serve {

using Strand = boost::asio::strand<boost::asio::io_context::executor_type>;
using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Strand>;

class Connection;

// What the connections of a server share. It outlives them.
struct ConnectionHost {
  Limits limits;
  Service& service;
  Router& router;
  std::shared_ptr<ByteBudget> budget;
  std::atomic<bool> draining{false};
  // Answers come from threads of the service, maybe after the server: they pass only while it is open.
  struct Gate {
    std::shared_mutex mutex;
    bool open = true;
  };
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();

  virtual void Forget(Connection* connection) = 0;

 protected:
  ConnectionHost(const Limits& limits, Service& service, Router& router)
      : limits(limits),
        service(service),
        router(router),
        budget(std::make_shared<ByteBudget>(limits.max_inflight_bytes)) {}
  ~ConnectionHost() = default;
};

// One client's connection: requests one after the other, each read, answered and forgotten. While a request
// is served, the end of the connection is watched for.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;
  virtual void Start() = 0;
  // From any thread.
  virtual void CloseSoon() = 0;
  // From any thread: ends what takes longer than the limits say.
  virtual void Look(Clock::time_point now) = 0;
  // From any thread: closes the connection unless it has had a request since then.
  virtual void CloseIfIdleSince(Clock::time_point since) = 0;
};

std::shared_ptr<Connection> NewPlainConnection(ConnectionHost& host, Socket socket);
std::shared_ptr<Connection> NewTlsConnection(ConnectionHost& host, Socket socket,
                                             std::shared_ptr<boost::asio::ssl::context> context);

}  // namespace sluice::serve
