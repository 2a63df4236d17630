#include "tools/serve/http/request_reader.h"

#include <fmt/format.h>

#include <boost/beast/http/error.hpp>
#include <charconv>

namespace sluice::serve {
namespace {

using Error = boost::beast::http::error;
using boost::system::error_code;

constexpr size_t kChunkedInputBytes = 64 << 10;

// Where the JSON of a binary request ends, so that its first tensor lies aligned.
size_t AlignedOffset(const HttpRequest& request) {
  const std::string_view value = request.header("inference-header-content-length");
  size_t offset = 0;
  std::from_chars(value.data(), value.data() + value.size(), offset);
  return offset;
}

}  // namespace

void RequestReader::Next() {
  state_ = State::kHead;
  parser_.reset();
  body_.reset();
  deadline_ = Clock::time_point::max();
  if (input_.empty() && !room_out_) input_.Shrink();
}

std::span<char> RequestReader::Room() {
  room_out_ = true;
  into_body_ = state_ == State::kBody;
  if (into_body_) return {reinterpret_cast<char*>(body_->room().data()), body_bytes_ - body_->size()};
  const size_t most = state_ == State::kHead     ? static_cast<size_t>(limits_.max_header_bytes) + 1
                      : state_ == State::kChunks ? kChunkedInputBytes
                                                 : 0;
  const std::span<char> room = input_.Room(most);
  room_out_ = !room.empty();
  return room;
}

void RequestReader::Commit(size_t bytes) {
  room_out_ = false;
  if (into_body_) {
    try {
      body_->Commit(bytes);
    } catch (const ServeError& refused) {
      Refuse(ErrorReply(refused));
    }
  } else {
    input_.Commit(bytes);
  }
  if (state_ == State::kBody || state_ == State::kChunks) {
    progress_.Add(bytes);
    deadline_ = progress_.deadline();
  }
}

RequestReader::Step RequestReader::Advance() {
  switch (state_) {
    case State::kHead:
      return TakeHead();
    case State::kBody:
      return TakeBody();
    case State::kChunks:
      return TakeChunks();
    case State::kDone:
      return Step::kRequest;
    case State::kRefused:
      return Step::kRefused;
    case State::kTaken:
      break;
  }
  return Step::kMore;
}

RequestReader::Step RequestReader::TakeHead() {
  while (true) {
    if (input_.empty()) return Step::kMore;
    if (!parser_) {
      received_ = Clock::now();
      deadline_ = received_ + std::chrono::milliseconds(limits_.header_timeout_ms);
      parser_.emplace(limits_, budget_);
      parser_->request().peer = peer_;
      parser_->request().client = client_;
      is_head_request_ = keep_alive_ = is_http10_ = false;
    }
    error_code error;
    input_.Consume(parser_->Feed(input_.text(), error));
    if (error == Error::need_more) return Step::kMore;
    if (error == Error::header_limit)
      return Refuse(ErrorReply(
          431, fmt::format("the request's head is larger than {} bytes", limits_.max_header_bytes)));
    if (error == Error::bad_version) return Refuse(ErrorReply(505, "HTTP/1.1 is spoken here"));
    if (error) return Refuse(ErrorReply(400, "this is no HTTP request"));
    if (parser_->is_header_done()) return OnHead();
  }
}

RequestReader::Step RequestReader::OnHead() {
  HttpRequest& request = parser_->request();
  request.received = received_;
  request.cancelled = std::make_shared<std::atomic<bool>>(false);
  is_head_request_ = request.method == "HEAD";
  keep_alive_ = parser_->keep_alive();
  is_http10_ = !request.header("connection").empty() && keep_alive_;
  if (parser_->unknown_encoding())
    return Refuse(ErrorReply(501, "Transfer-Encoding other than chunked is not supported"));
  const uint64_t length = parser_->content_length().value_or(0);
  std::optional<HttpReply> refusal;
  if (length > static_cast<uint64_t>(limits_.max_request_bytes))
    refusal = ErrorReply(ServeError(
        Reason::kTooLarge, fmt::format("the request is larger than {} bytes", limits_.max_request_bytes)));
  else
    refusal = router_.Refuse(request);
  if (refusal) {
    // A body that is already here does not end the connection.
    const bool read = !parser_->chunked() && length <= input_.size();
    if (read) input_.Consume(length);
    return Refuse(*std::move(refusal), read);
  }
  if (!parser_->chunked() && length == 0) return Done();
  return StartBody(length);
}

RequestReader::Step RequestReader::StartBody(uint64_t length) {
  progress_.Start(Clock::now(), limits_.body_timeout_ms);
  deadline_ = progress_.deadline();
  if (parser_->chunked()) {
    state_ = State::kChunks;
  } else {
    state_ = State::kBody;
    body_bytes_ = length;
    body_ = std::make_shared<Body>(budget_);
    try {
      body_->Reserve(length, AlignedOffset(parser_->request()));
    } catch (const ServeError& refused) {
      return Refuse(ErrorReply(refused));
    }
  }
  if (parser_->expects_continue() && input_.empty()) return Step::kContinue;
  return Advance();
}

RequestReader::Step RequestReader::TakeBody() {
  const std::string_view text = input_.text().substr(0, body_bytes_ - body_->size());
  if (!text.empty()) {
    try {
      body_->Append(text, body_bytes_);
    } catch (const ServeError& refused) {
      return Refuse(ErrorReply(refused));
    }
    input_.Consume(text.size());
  }
  if (body_->size() < body_bytes_) return Step::kMore;
  parser_->request().body = std::move(body_);
  return Done();
}

RequestReader::Step RequestReader::TakeChunks() {
  error_code error;
  try {
    while (!parser_->is_done() && !error && !input_.empty())
      input_.Consume(parser_->Feed(input_.text(), error));
  } catch (const ServeError& refused) {
    return Refuse(ErrorReply(refused));
  }
  if (parser_->is_done()) return Done();
  const bool stuck = error == Error::need_more && input_.size() >= kChunkedInputBytes;
  if (stuck || (error && error != Error::need_more))
    return Refuse(ErrorReply(400, "the chunks of the request's body are broken"));
  return Step::kMore;
}

HttpRequest RequestReader::Take() {
  state_ = State::kTaken;
  return std::move(parser_->request());
}

RequestReader::Refusal RequestReader::TakeRefusal() {
  state_ = State::kTaken;
  return std::move(refusal_);
}

void RequestReader::RefuseLate() { Refuse(ErrorReply(408, "the request did not come in time")); }

RequestReader::Step RequestReader::Refuse(HttpReply reply, bool read) {
  state_ = State::kRefused;
  refusal_ = {std::move(reply), read};
  return Step::kRefused;
}

}  // namespace sluice::serve
