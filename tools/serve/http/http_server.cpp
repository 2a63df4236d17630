#include "tools/serve/http/http_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "sluice/error.h"
#include "tools/serve/http/connection.h"
#include "tools/serve/http/tls.h"
#include "tools/serve/listener.h"
#include "tools/serve/refused_request.h"

namespace sluice::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int kAsideThreads = 4;
constexpr int kBacklog = 4096;                                 // the kernel's limit is usually lower
constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // where the process is out of files
constexpr auto kQuiet = std::chrono::seconds(1);  // after which nothing is on its way on an idle connection

tcp::endpoint ParseAddress(const FrontEndOptions& options) {
  error_code error;
  const std::string name = options.address == "localhost" ? "127.0.0.1" : options.address;
  const asio::ip::address address = asio::ip::make_address(name, error);
  if (error)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--address: expected an IP address, found '{}'", options.address));
  return {address, options.port};
}

class HttpServer final : public FrontEnd, private ConnectionHost {
 public:
  HttpServer(const FrontEndOptions& options, Service& service, const Access& access)
      : ConnectionHost(options.limits, service, router_),
        io_(std::max(1, options.threads)),
        work_(io_.get_executor()),
        aside_(kAsideThreads),
        router_(service, access, options.limits,
                [this](std::function<void()> work) { asio::post(aside_, std::move(work)); }),
        acceptor_(asio::make_strand(io_)),
        timer_(acceptor_.get_executor()),
        accept_timer_(acceptor_.get_executor()),
        end_timer_(acceptor_.get_executor()) {
    if (!options.tls.certificate.empty()) tls_ = std::make_unique<TlsContexts>(options.tls);
    Listen(ParseAddress(options));
    tick_ = std::chrono::milliseconds(std::clamp<int64_t>(
        std::min({limits.header_timeout_ms, limits.body_timeout_ms, limits.idle_timeout_ms}) / 8, 10, 500));
    asio::post(acceptor_.get_executor(), [this] {
      Accept();
      Tick();
    });
    for (int i = 0; i < std::max(1, options.threads); ++i) threads_.emplace_back([this] { io_.run(); });
  }

  ~HttpServer() override {
    {
      const std::unique_lock lock(gate->mutex);
      gate->open = false;
    }
    ending_ = true;
    asio::post(acceptor_.get_executor(), [this] { StopAccepting(); });
    ForEach([](Connection& connection) { connection.CloseSoon(); });
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
    aside_.join();
  }

  uint16_t port() const override { return port_; }

  bool Drain(Clock::time_point until) override {
    draining = true;
    const auto start = Clock::now();
    const auto quiet = std::min<Clock::duration>(kQuiet, std::max(Clock::duration(0), until - start) / 2);
    asio::post(acceptor_.get_executor(), [this] { EndAccepting(); });
    std::unique_lock lock(mutex_);
    while (!(connections_.empty() && stopped_)) {
      const auto now = Clock::now();
      if (now >= until) return false;
      if (now - start >= quiet) {
        lock.unlock();
        ForEach([&](Connection& connection) { connection.CloseIfIdleSince(now - quiet); });
        lock.lock();
      }
      empty_.wait_until(lock, std::min<Clock::time_point>(until, now + std::chrono::milliseconds(20)));
    }
    return true;
  }

 private:
  using Acceptor = asio::basic_socket_acceptor<tcp, Strand>;
  using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Strand>;

  void Listen(const tcp::endpoint& endpoint) {
    error_code error;
    const auto check = [&] {
      if (error)
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("cannot listen on {} port {}: {}", endpoint.address().to_string(),
                                endpoint.port(), error.message()));
    };
    acceptor_.open(endpoint.protocol(), error), check();
    acceptor_.set_option(asio::socket_base::reuse_address(true), error), check();
    acceptor_.bind(endpoint, error), check();
    acceptor_.listen(kBacklog, error), check();
    acceptor_.non_blocking(true, error), check();
    port_ = acceptor_.local_endpoint().port();
  }

  void Accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](error_code error, Socket socket) {
      if (!acceptor_.is_open()) return;
      if (!error) {
        Open(std::move(socket));
      } else if (error != asio::error::connection_aborted) {
        accept_timer_.expires_after(kAcceptPause);
        accept_timer_.async_wait([this](error_code stopped) {
          if (!stopped && acceptor_.is_open()) Accept();
        });
        return;
      }
      Accept();
    });
  }

  void Open(Socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    std::shared_ptr<Connection> connection;
    {
      const std::lock_guard lock(mutex_);
      if (ending_) return;
      if (connections_.size() < static_cast<size_t>(std::max(1, limits.max_connections))) {
        connection = tls_ ? NewTlsConnection(*this, std::move(socket), tls_->Current())
                          : NewPlainConnection(*this, std::move(socket));
        connections_.emplace(connection.get(), connection);
      }
    }
    if (connection) return connection->Start();
    refused_.Add();
    if (!tls_) TurnAway(socket);
  }

  // At once and without a connection's state: there are too many of those.
  static void TurnAway(Socket& socket) {
    const HttpReply reply = ErrorReply(ServeError(Reason::kOverloaded, "too many connections", 1));
    const std::string text = HeadOf(reply, "close") + reply.text;
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(text), ignored);
    socket.shutdown(asio::socket_base::shutdown_send, ignored);
  }

  // Accepts until whoever has begun to connect has done so.
  void EndAccepting() {
    if (!acceptor_.is_open()) return;
    if (!RefuseHandshakes(acceptor_.native_handle())) return StopAccepting();
    end_timer_.expires_after(kHandshakeTime);
    end_timer_.async_wait([this](error_code) { StopAccepting(); });
  }

  // What the kernel has accepted already is served too.
  void StopAccepting() {
    end_timer_.cancel();
    if (ending_) timer_.cancel();
    if (!acceptor_.is_open()) return;
    error_code error;
    while (!error && !ending_) {
      Socket socket(asio::make_strand(io_));
      acceptor_.accept(socket, error);
      if (!error) Open(std::move(socket));
    }
    acceptor_.close(error);
    accept_timer_.cancel();
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    empty_.notify_all();
  }

  void Tick() {
    const auto now = Clock::now();
    ForEach([&](Connection& connection) { connection.Look(now); });
    refused_.Log();
    timer_.expires_after(tick_);
    timer_.async_wait([this](error_code error) {
      if (!error && !ending_) Tick();
    });
  }

  template <typename Work>
  void ForEach(const Work& work) {
    std::vector<std::shared_ptr<Connection>> all;
    {
      const std::lock_guard lock(mutex_);
      all.reserve(connections_.size());
      for (const auto& [key, connection] : connections_) all.push_back(connection);
    }
    for (const auto& connection : all) work(*connection);
  }

  void Forget(Connection* connection) override {
    const std::lock_guard lock(mutex_);
    connections_.erase(connection);
    if (connections_.empty()) empty_.notify_all();
  }

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::thread_pool aside_;
  Router router_;
  Acceptor acceptor_;
  Timer timer_, accept_timer_, end_timer_;
  std::unique_ptr<TlsContexts> tls_;
  RefusedConnections refused_{"http"};
  uint16_t port_ = 0;
  std::chrono::milliseconds tick_;
  std::atomic<bool> ending_{false};

  std::mutex mutex_;
  std::condition_variable empty_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<FrontEnd> NewHttpServer(const FrontEndOptions& options, Service& service,
                                        const Access& access) {
  return std::make_unique<HttpServer>(options, service, access);
}

}  // namespace sluice::serve
