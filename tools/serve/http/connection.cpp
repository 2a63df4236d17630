#include "tools/serve/http/connection.h"

#include <array>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <type_traits>

#include "tools/serve/http/request_reader.h"
#include "tools/serve/http/tls.h"
#include "tools/serve/http/trace_context.h"
#include "tools/serve/refused_request.h"

namespace sluice::serve {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;
using Step = RequestReader::Step;

constexpr auto kLinger = std::chrono::seconds(3);  // for a client to read the answer that ends a connection

// Stream: Socket, or TLS over one. Everything but the notes for other threads runs on the socket's strand.
template <typename Stream>
class ConnectionOf final : public Connection {
 public:
  template <typename... Args>
  explicit ConnectionOf(ConnectionHost& host, Args&&... args)
      : host_(host), stream_(std::forward<Args>(args)...), reader_(host.limits, host.router, host.budget) {}

  void Start() override;
  void CloseSoon() override {
    asio::post(executor(), [self = Self()] { self->Close(); });
  }
  void Look(Clock::time_point now) override {
    if (now.time_since_epoch().count() < deadline_.load(std::memory_order_relaxed)) return;
    asio::post(executor(), [self = Self(), now] { self->OnDeadline(now); });
  }
  void CloseIfIdleSince(Clock::time_point since) override {
    if (idle_since_.load(std::memory_order_relaxed) > since.time_since_epoch().count()) return;
    asio::post(executor(), [self = Self(), since] {
      if (self->state_ == State::kReading && self->reader_.is_idle() &&
          self->idle_since_.load() <= since.time_since_epoch().count())
        self->Close();
    });
  }

 private:
  enum class State {
    kHandshake,
    kReading,   // a request, or waiting for one
    kContinue,  // writing "100 Continue"
    kServing,
    kWriting,
    kLinger,  // the answer is out; what still comes in is thrown away until the client closes
    kClosed,
  };
  static constexpr bool kTls = !std::is_same_v<Stream, Socket>;
  static constexpr int64_t kNever = INT64_MAX;

  std::shared_ptr<ConnectionOf> Self() { return std::static_pointer_cast<ConnectionOf>(shared_from_this()); }
  auto& socket() { return stream_.lowest_layer(); }
  auto executor() { return stream_.get_executor(); }

  void Expire(Clock::time_point at) {
    deadline_.store(at.time_since_epoch().count(), std::memory_order_relaxed);
  }
  void ExpireNever() { deadline_.store(kNever, std::memory_order_relaxed); }
  void OnDeadline(Clock::time_point now);

  void AwaitRequest();
  void Read();
  void OnRead(error_code error, size_t bytes);
  void OnEnd();
  void Take(Step step);

  void SendContinue();
  void Serve();
  void Refuse(RequestReader::Refusal refusal);
  void Reply(HttpReply reply);
  void OnWritten(error_code error);
  void Linger();
  void Close();
  void Count(const HttpReply& reply, int64_t write_ns);

  ConnectionHost& host_;
  Stream stream_;
  State state_ = State::kHandshake;
  RequestReader reader_;
  bool reading_ = false;
  bool ended_ = false;  // the client has closed its side

  Progress progress_;  // of the answer
  Clock::time_point complete_, answered_;
  std::shared_ptr<std::atomic<bool>> cancelled_;
  bool keep_alive_ = false;

  std::string head_;
  HttpReply reply_;
  std::vector<asio::const_buffer> buffers_;

  std::atomic<int64_t> deadline_{kNever}, idle_since_{kNever};
};

template <typename Stream>
void ConnectionOf<Stream>::Start() {
  Expire(Clock::now() + std::chrono::milliseconds(host_.limits.header_timeout_ms));
  error_code error;
  if (const auto peer = socket().remote_endpoint(error); !error) reader_.set_peer(peer.address().to_string());
  asio::dispatch(executor(), [self = Self()] {
    if constexpr (kTls) {
      self->stream_.async_handshake(ssl::stream_base::server, [self](error_code error) {
        if (error || self->state_ == State::kClosed) return self->Close();
        self->reader_.set_client(ClientNameOf(self->stream_.native_handle()));
        self->AwaitRequest();
      });
    } else {
      self->AwaitRequest();
    }
  });
}

template <typename Stream>
void ConnectionOf<Stream>::AwaitRequest() {
  state_ = State::kReading;
  cancelled_.reset();
  reader_.Next();
  const auto now = Clock::now();
  Expire(now + std::chrono::milliseconds(host_.limits.idle_timeout_ms));
  idle_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  if (ended_ && reader_.is_idle()) return Close();
  Take(reader_.Advance());
}

template <typename Stream>
void ConnectionOf<Stream>::Read() {
  if (reading_ || ended_ || state_ == State::kContinue || state_ == State::kClosed) return;
  const std::span<char> room = reader_.Room();
  if (room.empty()) return;  // while serving: the rest waits in the kernel
  reading_ = true;
  stream_.async_read_some(asio::mutable_buffer(room.data(), room.size()),
                          [self = Self()](error_code error, size_t bytes) { self->OnRead(error, bytes); });
}

template <typename Stream>
void ConnectionOf<Stream>::OnRead(error_code error, size_t bytes) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  if (error) return OnEnd();
  if (state_ == State::kLinger) return Read();
  reader_.Commit(bytes);
  if (state_ == State::kReading)
    Take(reader_.Advance());
  else
    Read();
}

// The client will send no more.
template <typename Stream>
void ConnectionOf<Stream>::OnEnd() {
  ended_ = true;
  if (state_ == State::kWriting) return;  // it may still read
  if (state_ == State::kServing) {
    cancelled_->store(true);
    HttpReply reply = ErrorReply(ServeError(Reason::kCancelled, "the client is gone"));
    Count(reply, 0);
  }
  Close();
}

template <typename Stream>
void ConnectionOf<Stream>::Take(Step step) {
  if (!reader_.is_idle()) {
    idle_since_.store(kNever, std::memory_order_relaxed);
    Expire(reader_.deadline());
  }
  switch (step) {
    case Step::kMore:
      break;
    case Step::kContinue:
      SendContinue();
      break;
    case Step::kRequest:
      Serve();
      break;
    case Step::kRefused:
      Refuse(reader_.TakeRefusal());
      break;
  }
  // Also while a request is served or answered: to see the end of the connection.
  Read();
}

template <typename Stream>
void ConnectionOf<Stream>::SendContinue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  state_ = State::kContinue;
  asio::async_write(stream_, asio::buffer(kContinue), [self = Self()](error_code error, size_t) {
    if (self->state_ != State::kContinue) return;
    if (error) return self->Close();
    self->state_ = State::kReading;
    self->Take(self->reader_.Advance());
  });
}

template <typename Stream>
void ConnectionOf<Stream>::Serve() {
  state_ = State::kServing;
  ExpireNever();
  complete_ = Clock::now();
  keep_alive_ = reader_.keep_alive();
  auto respond = [weak = std::weak_ptr<ConnectionOf>(Self()), gate = host_.gate](HttpReply reply) {
    const std::shared_lock lock(gate->mutex);
    const auto self = gate->open ? weak.lock() : nullptr;
    if (!self) return;
    asio::dispatch(self->executor(),
                   [self, reply = std::move(reply)]() mutable { self->Reply(std::move(reply)); });
  };
  HttpRequest request = reader_.Take();
  cancelled_ = request.cancelled;
  host_.router.Handle(std::move(request), std::move(respond));
}

// Answers a request that was not read to its end, and with it ends the connection, or one that was.
template <typename Stream>
void ConnectionOf<Stream>::Refuse(RequestReader::Refusal refusal) {
  complete_ = Clock::now();
  keep_alive_ = refusal.read && reader_.keep_alive();
  HttpReply& reply = refusal.reply;
  const HttpRequest& request = reader_.request();
  const std::string id = RequestIdOf(request.header("x-request-id"));
  reply.headers.emplace_back("X-Request-Id", id);
  LogRefused({.protocol = "http",
              .call = request.target,
              .peer = request.peer,
              .request_id = id,
              .outcome = reply.outcome,
              .error = reply.error,
              .client = request.client,
              .traceparent = request.header("traceparent"),
              .received = reader_.received()});
  Reply(std::move(reply));
}

template <typename Stream>
void ConnectionOf<Stream>::Reply(HttpReply reply) {
  if (state_ == State::kClosed) return;
  state_ = State::kWriting;
  answered_ = Clock::now();
  reply_ = std::move(reply);
  if (reply_.close || host_.draining.load(std::memory_order_relaxed)) keep_alive_ = false;
  head_ = HeadOf(reply_, !keep_alive_ ? "close" : (reader_.is_http10() ? "keep-alive" : ""));
  buffers_.assign({asio::buffer(head_)});
  if (!reader_.is_head_request()) {
    if (!reply_.text.empty()) buffers_.push_back(asio::buffer(reply_.text));
    for (const auto& part : reply_.parts)
      if (!part.empty()) buffers_.emplace_back(part.data(), part.size());
  }
  progress_.Start(answered_, host_.limits.body_timeout_ms);
  Expire(progress_.deadline());
  const auto progress = [this, seen = size_t{0}](const error_code& error, size_t written) mutable -> size_t {
    if (error) return 0;
    progress_.Add(written - seen);
    seen = written;
    Expire(progress_.deadline());
    return size_t{1} << 20;
  };
  asio::async_write(stream_, buffers_, progress,
                    [self = Self()](error_code error, size_t) { self->OnWritten(error); });
}

template <typename Stream>
void ConnectionOf<Stream>::OnWritten(error_code error) {
  if (state_ != State::kWriting) return;
  const int64_t write_ns = std::chrono::nanoseconds(Clock::now() - answered_).count();
  Count(reply_, write_ns);
  reply_ = {};
  buffers_.clear();
  if (error) return Close();
  if (!keep_alive_) return Linger();
  AwaitRequest();
}

template <typename Stream>
void ConnectionOf<Stream>::Linger() {
  if (ended_) return Close();
  state_ = State::kLinger;
  Expire(Clock::now() + kLinger);
  error_code ignored;
  socket().shutdown(asio::socket_base::shutdown_send, ignored);
  reader_.Discard();
  Read();
}

template <typename Stream>
void ConnectionOf<Stream>::OnDeadline(Clock::time_point now) {
  if (now.time_since_epoch().count() < deadline_.load()) return;
  if (state_ != State::kReading || reader_.is_idle()) return Close();
  reader_.RefuseLate();
  Refuse(reader_.TakeRefusal());
}

template <typename Stream>
void ConnectionOf<Stream>::Close() {
  if (state_ == State::kClosed) return;
  if (cancelled_) cancelled_->store(true);
  state_ = State::kClosed;
  ExpireNever();
  error_code ignored;
  socket().close(ignored);
  host_.Forget(this);
}

template <typename Stream>
void ConnectionOf<Stream>::Count(const HttpReply& reply, int64_t write_ns) {
  host_.service.CountRequest("http", reply.model, reply.outcome,
                             std::chrono::nanoseconds(complete_ - reader_.received()).count() + write_ns);
}

}  // namespace

std::shared_ptr<Connection> NewPlainConnection(ConnectionHost& host, Socket socket) {
  return std::make_shared<ConnectionOf<Socket>>(host, std::move(socket));
}

std::shared_ptr<Connection> NewTlsConnection(ConnectionHost& host, Socket socket,
                                             std::shared_ptr<ssl::context> context) {
  // The stream takes a reference of OpenSSL's own to the settings.
  return std::make_shared<ConnectionOf<ssl::stream<Socket>>>(host, std::move(socket), *context);
}

}  // namespace sluice::serve
