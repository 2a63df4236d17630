#include "tools/serve/grpc/acceptor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sluice/error.h"
#include "tools/serve/listener.h"

namespace sluice::serve::rpc {
namespace {

constexpr int kBacklog = 4096;
constexpr int kEvents = 64;
// While there are no descriptors left.
constexpr int kPauseMs = 20;

[[noreturn]] void Throw(const std::string& address, uint16_t port, const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("gRPC: cannot listen at {} port {}: {}", address, port, why));
}

int Listen(const std::string& address, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
      error != 0)
    Throw(address, port, gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> end(found, freeaddrinfo);
  int error = 0;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const int listener = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) {
      error = errno;
      continue;
    }
    const int on = 1, off = 0;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6) setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(listener, at->ai_addr, at->ai_addrlen) == 0 && listen(listener, kBacklog) == 0) return listener;
    error = errno;
    close(listener);
  }
  Throw(address, port, std::strerror(error));
}

uint16_t PortOf(int listener) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size);
  return ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(name).sin6_port
                                          : reinterpret_cast<sockaddr_in&>(name).sin_port);
}

void Add(int epoll, int descriptor, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = descriptor;
  epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

}  // namespace

Acceptor::Acceptor(const std::string& address, uint16_t port, int max_connections)
    : max_connections_(max_connections) {
  listener_ = Listen(address, port);
  port_ = PortOf(listener_);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  Add(epoll_, listener_, EPOLLIN);
  Add(epoll_, wake_, EPOLLIN);
}

Acceptor::~Acceptor() {
  Stop();
  for (const int descriptor : watched_) close(descriptor);
  if (listener_ >= 0) close(listener_);
  close(wake_);
  close(epoll_);
}

void Acceptor::Start(Sink sink) {
  sink_ = std::move(sink);
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::End() {
  if (thread_.joinable() && RefuseHandshakes(listener_)) std::this_thread::sleep_for(kHandshakeTime);
  Stop();
}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  ending_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_, &one, sizeof one);
  thread_.join();
  // Whoever the system has let in already is served.
  AcceptAll();
  close(listener_);
  listener_ = -1;
}

void Acceptor::Run() {
  while (!ending_)
    // After the ends, which make room.
    if (Look(-1) && !ending_) AcceptAll();
}

bool Acceptor::Look(int timeout_ms) {
  epoll_event events[kEvents];
  const int count = epoll_wait(epoll_, events, kEvents, timeout_ms);
  bool accept = false;
  for (int i = 0; i < count; ++i) {
    const int descriptor = events[i].data.fd;
    if (descriptor == listener_) {
      accept = true;
    } else if (descriptor != wake_ && watched_.erase(descriptor) == 1) {
      // Closing it would not end the watch while gRPC's descriptor is open, and the number is soon
      // another's.
      epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
      close(descriptor);
      --connections_;
    }
  }
  return accept;
}

int Acceptor::Connections() {
  Look(0);
  return connections_;
}

void Acceptor::AcceptAll() {
  for (;;) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) usleep(kPauseMs * 1000);
      return;
    }
    if (connections_ >= max_connections_) {
      close(connection);
      refused_.Add();
      continue;
    }
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Watch(connection);
  }
}

void Acceptor::Watch(int connection) {
  const int second = fcntl(connection, F_DUPFD_CLOEXEC, 0);
  if (second < 0) {
    close(connection);
    return;
  }
  watched_.insert(second);
  ++connections_;
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = listener_;
  parameters.fd = connection;
  sink_->HandleNewConnection(&parameters);
  // Not before: gRPC's own end of it must be a change that is seen. Events that were there are told at once.
  Add(epoll_, second, EPOLLRDHUP | EPOLLET);
}

}  // namespace sluice::serve::rpc
