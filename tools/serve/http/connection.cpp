#include "tools/serve/http/connection.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <charconv>
#include <optional>
#include <type_traits>

#include "tools/serve/http/input.h"
#include "tools/serve/http/progress.h"
#include "tools/serve/http/request_parser.h"
#include "tools/serve/http/tls.h"

namespace sluice::serve {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;

constexpr auto kLinger = std::chrono::seconds(3);  // for a client to read the answer that ends a connection
constexpr size_t kChunkedInputBytes = 64 << 10;
constexpr size_t kMostInputBytes = size_t{1} << 30;

// Where the JSON of a binary request ends, so that its first tensor lies aligned.
size_t AlignedOffset(const HttpRequest& request) {
  const std::string_view value = request.header("inference-header-content-length");
  size_t offset = 0;
  std::from_chars(value.data(), value.data() + value.size(), offset);
  return offset;
}

// Stream: Socket, or TLS over one. Everything but the notes for other threads runs on the socket's strand.
template <typename Stream>
class ConnectionOf final : public Connection {
 public:
  template <typename... Args>
  explicit ConnectionOf(ConnectionHost& host, Args&&... args)
      : host_(host), stream_(std::forward<Args>(args)...) {}

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
      if (self->state_ == State::kHead && self->input_.empty() &&
          self->idle_since_.load() <= since.time_since_epoch().count())
        self->Close();
    });
  }

 private:
  enum class State {
    kHandshake,
    kHead,      // waiting for a request, or for the rest of its head
    kContinue,  // writing "100 Continue"
    kBody,      // of a stated length
    kChunks,
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
  void OnRead(error_code error, size_t bytes, bool into_body);
  void OnEnd();
  void Advance();
  // Each takes from the input and says whether there may be more to do with it.
  bool TakeHead();
  bool OnHead();
  bool TakeBody();
  bool TakeChunks();

  void SendContinue();
  void Serve();
  void Refuse(HttpReply reply);
  void Reply(HttpReply reply);
  void OnWritten(error_code error);
  void Linger();
  void Close();
  void Count(const HttpReply& reply, int64_t write_ns);

  ConnectionHost& host_;
  Stream stream_;
  State state_ = State::kHandshake;
  std::string certificate_;  // whose connection it is
  InputBuffer input_;
  bool reading_ = false;
  bool ended_ = false;  // the client has closed its side

  std::optional<RequestParser> parser_;
  std::shared_ptr<Body> body_;
  size_t body_bytes_ = 0;  // stated
  Progress progress_;
  Clock::time_point received_, complete_, answered_;
  std::shared_ptr<std::atomic<bool>> cancelled_;
  bool is_head_request_ = false, keep_alive_ = false, is_http10_ = false;

  std::string head_;
  HttpReply reply_;
  std::vector<asio::const_buffer> buffers_;

  std::atomic<int64_t> deadline_{kNever}, idle_since_{kNever};
};

template <typename Stream>
void ConnectionOf<Stream>::Start() {
  Expire(Clock::now() + std::chrono::milliseconds(host_.limits.header_timeout_ms));
  asio::dispatch(executor(), [self = Self()] {
    if constexpr (kTls) {
      self->stream_.async_handshake(ssl::stream_base::server, [self](error_code error) {
        if (error || self->state_ == State::kClosed) return self->Close();
        self->certificate_ = ClientNameOf(self->stream_.native_handle());
        self->AwaitRequest();
      });
    } else {
      self->AwaitRequest();
    }
  });
}

template <typename Stream>
void ConnectionOf<Stream>::AwaitRequest() {
  state_ = State::kHead;
  parser_.reset();
  body_.reset();
  cancelled_.reset();
  const auto now = Clock::now();
  Expire(now + std::chrono::milliseconds(host_.limits.idle_timeout_ms));
  idle_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  if (ended_ && input_.empty()) return Close();
  if (input_.empty() && !reading_) input_.Shrink();
  Advance();
}

template <typename Stream>
void ConnectionOf<Stream>::Read() {
  if (reading_ || ended_ || state_ == State::kClosed) return;
  asio::mutable_buffer room;
  const bool into_body = state_ == State::kBody;
  if (into_body) {
    room = {body_->room().data(), body_bytes_ - body_->size()};
  } else {
    const size_t most = state_ == State::kHead     ? static_cast<size_t>(host_.limits.max_header_bytes) + 1
                        : state_ == State::kChunks ? kChunkedInputBytes
                                                   : 0;
    const std::span<char> free = input_.Room(most);
    if (free.empty()) return;  // while serving: the rest waits in the kernel
    room = {free.data(), free.size()};
  }
  reading_ = true;
  stream_.async_read_some(room, [self = Self(), into_body](error_code error, size_t bytes) {
    self->OnRead(error, bytes, into_body);
  });
}

template <typename Stream>
void ConnectionOf<Stream>::OnRead(error_code error, size_t bytes, bool into_body) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  if (error) return OnEnd();
  if (state_ == State::kLinger) return Read();
  if (into_body) {
    try {
      body_->Commit(bytes);
    } catch (const ServeError& refused) {
      return Refuse(ErrorReply(refused));
    }
  } else {
    input_.Commit(bytes);
  }
  if (state_ == State::kBody || state_ == State::kChunks) {
    progress_.Add(bytes);
    Expire(progress_.deadline());
  }
  Advance();
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
void ConnectionOf<Stream>::Advance() {
  bool more = true;
  while (more) {
    switch (state_) {
      case State::kHead:
        more = TakeHead();
        break;
      case State::kBody:
        more = TakeBody();
        break;
      case State::kChunks:
        more = TakeChunks();
        break;
      case State::kLinger:
        input_.Consume(input_.size());
        [[fallthrough]];
      default:
        more = false;
    }
  }
  // Also while a request is served or answered: to see the end of the connection.
  Read();
}

template <typename Stream>
bool ConnectionOf<Stream>::TakeHead() {
  if (input_.empty()) return false;
  if (!parser_) {
    received_ = Clock::now();
    idle_since_.store(kNever, std::memory_order_relaxed);
    Expire(received_ + std::chrono::milliseconds(host_.limits.header_timeout_ms));
    parser_.emplace(host_.limits, host_.budget);
  }
  error_code error;
  input_.Consume(parser_->Feed(input_.text(), error));
  if (error == boost::beast::http::error::need_more) return false;
  if (error == boost::beast::http::error::header_limit) {
    Refuse(ErrorReply(
        431, fmt::format("the request's head is larger than {} bytes", host_.limits.max_header_bytes)));
    return false;
  }
  if (error) {
    Refuse(error == boost::beast::http::error::bad_version ? ErrorReply(505, "HTTP/1.1 is spoken here")
                                                           : ErrorReply(400, "this is no HTTP request"));
    return false;
  }
  return parser_->is_header_done() ? OnHead() : true;
}

template <typename Stream>
bool ConnectionOf<Stream>::OnHead() {
  HttpRequest& request = parser_->request();
  request.received = received_;
  request.client = certificate_;
  is_head_request_ = request.method == "HEAD";
  keep_alive_ = parser_->keep_alive();
  is_http10_ = !request.header("connection").empty() && keep_alive_;
  cancelled_ = request.cancelled = std::make_shared<std::atomic<bool>>(false);
  if (parser_->unknown_encoding()) {
    Refuse(ErrorReply(501, "Transfer-Encoding other than chunked is not supported"));
    return false;
  }
  const uint64_t length = parser_->content_length().value_or(0);
  std::optional<HttpReply> refusal;
  if (length > static_cast<uint64_t>(host_.limits.max_request_bytes))
    refusal = ErrorReply(ServeError(Reason::kTooLarge, fmt::format("the request is larger than {} bytes",
                                                                   host_.limits.max_request_bytes)));
  else
    refusal = host_.router.Refuse(request);
  if (refusal) {
    // A body that is already here does not end the connection.
    if (!parser_->chunked() && length <= input_.size()) {
      input_.Consume(length);
      complete_ = Clock::now();
      Reply(std::move(*refusal));
    } else {
      Refuse(std::move(*refusal));
    }
    return false;
  }
  if (!parser_->chunked() && length == 0) {
    Serve();
    return false;
  }
  progress_.Start(Clock::now(), host_.limits.body_timeout_ms);
  Expire(progress_.deadline());
  if (parser_->chunked()) {
    state_ = State::kChunks;
  } else {
    state_ = State::kBody;
    body_bytes_ = length;
    body_ = std::make_shared<Body>(host_.budget);
    try {
      body_->Reserve(length, AlignedOffset(request));
    } catch (const ServeError& refused) {
      Refuse(ErrorReply(refused));
      return false;
    }
  }
  if (parser_->expects_continue() && input_.empty()) {
    SendContinue();
    return false;
  }
  return true;
}

template <typename Stream>
bool ConnectionOf<Stream>::TakeBody() {
  const std::string_view text = input_.text().substr(0, body_bytes_ - body_->size());
  if (!text.empty()) {
    try {
      body_->Append(text, body_bytes_);
    } catch (const ServeError& refused) {
      Refuse(ErrorReply(refused));
      return false;
    }
    input_.Consume(text.size());
  }
  if (body_->size() < body_bytes_) return false;
  parser_->request().body = std::move(body_);
  Serve();
  return false;
}

template <typename Stream>
bool ConnectionOf<Stream>::TakeChunks() {
  error_code error;
  try {
    while (!parser_->is_done() && !error && !input_.empty())
      input_.Consume(parser_->Feed(input_.text(), error));
  } catch (const ServeError& refused) {
    Refuse(ErrorReply(refused));
    return false;
  }
  if (parser_->is_done()) {
    Serve();
    return false;
  }
  const bool stuck = error == boost::beast::http::error::need_more && input_.size() >= kChunkedInputBytes;
  if (stuck || (error && error != boost::beast::http::error::need_more))
    Refuse(ErrorReply(400, "the chunks of the request's body are broken"));
  return false;
}

template <typename Stream>
void ConnectionOf<Stream>::SendContinue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const State next = std::exchange(state_, State::kContinue);
  asio::async_write(stream_, asio::buffer(kContinue), [self = Self(), next](error_code error, size_t) {
    if (self->state_ != State::kContinue) return;
    if (error) return self->Close();
    self->state_ = next;
    self->Advance();
  });
}

template <typename Stream>
void ConnectionOf<Stream>::Serve() {
  state_ = State::kServing;
  ExpireNever();
  complete_ = Clock::now();
  auto respond = [weak = std::weak_ptr<ConnectionOf>(Self()), gate = host_.gate](HttpReply reply) {
    const std::shared_lock lock(gate->mutex);
    const auto self = gate->open ? weak.lock() : nullptr;
    if (!self) return;
    asio::dispatch(self->executor(),
                   [self, reply = std::move(reply)]() mutable { self->Reply(std::move(reply)); });
  };
  host_.router.Handle(std::move(parser_->request()), std::move(respond));
}

// Answers a request that was not read to its end, and with it ends the connection.
template <typename Stream>
void ConnectionOf<Stream>::Refuse(HttpReply reply) {
  keep_alive_ = false;
  complete_ = Clock::now();
  Reply(std::move(reply));
}

template <typename Stream>
void ConnectionOf<Stream>::Reply(HttpReply reply) {
  if (state_ == State::kClosed) return;
  state_ = State::kWriting;
  answered_ = Clock::now();
  reply_ = std::move(reply);
  if (reply_.close || host_.draining.load(std::memory_order_relaxed)) keep_alive_ = false;
  head_ = HeadOf(reply_, !keep_alive_ ? "close" : (is_http10_ ? "keep-alive" : ""));
  buffers_.assign({asio::buffer(head_)});
  if (!is_head_request_) {
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
  Advance();
}

template <typename Stream>
void ConnectionOf<Stream>::OnDeadline(Clock::time_point now) {
  if (now.time_since_epoch().count() < deadline_.load()) return;
  const bool in_request =
      (state_ == State::kHead && parser_) || state_ == State::kBody || state_ == State::kChunks;
  if (!in_request) return Close();
  Refuse(ErrorReply(408, "the request did not come in time"));
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
                             std::chrono::nanoseconds(complete_ - received_).count() + write_ns);
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
