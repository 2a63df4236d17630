#pragma once

#include <optional>
#include <span>

#include "tools/serve/http/input.h"
#include "tools/serve/http/progress.h"
#include "tools/serve/http/request_parser.h"
#include "tools/serve/http/router.h"

namespace sluice::serve {

// Makes requests of a connection's bytes, one after the other: where the next bytes go, what they make, and
// until when they must come. Knows nothing of sockets.
class RequestReader {
 public:
  enum class Step {
    kMore,      // wants more bytes
    kContinue,  // ... and the client wants to hear "100 Continue" before it sends them
    kRequest,   // there is a request to Take
    kRefused,   // there is a Refusal to take
  };
  struct Refusal {
    HttpReply reply;
    bool read = false;  // the request was read to its end, so that another can follow
  };

  RequestReader(const Limits& limits, const Router& router, std::shared_ptr<ByteBudget> budget)
      : limits_(limits), router_(router), budget_(std::move(budget)) {}

  // Who is at the other end: the address, and the name in the certificate.
  void set_peer(std::string address) { peer_ = std::move(address); }
  void set_client(std::string name) { client_ = std::move(name); }

  // Forgets the former request; what came behind it stays.
  void Next();
  // Whether nothing of a request has come.
  bool is_idle() const { return state_ == State::kHead && !parser_ && input_.empty(); }
  // When what there is of a request is too late, unless more comes. Of none: never.
  Clock::time_point deadline() const { return deadline_; }

  // Where to read to; empty where no byte is wanted, as while a request is served. It stays until Commit.
  std::span<char> Room();
  // So many bytes came.
  void Commit(size_t bytes);
  // What can be made of the bytes that are there; the same again until it is taken.
  Step Advance();
  // Throws away what is there.
  void Discard() { input_.Consume(input_.size()); }

  HttpRequest Take();
  Refusal TakeRefusal();
  // A refusal of what did not come in time.
  void RefuseLate();

  // What is known of the request, from its first byte to Take.
  const HttpRequest& request() { return parser_->request(); }
  bool is_head_request() const { return is_head_request_; }
  bool keep_alive() const { return keep_alive_; }
  bool is_http10() const { return is_http10_; }
  Clock::time_point received() const { return received_; }

 private:
  enum class State {
    kHead,    // or nothing yet
    kBody,    // of a stated length
    kChunks,  // of a body of none
    kDone,
    kRefused,
    kTaken,
  };

  Step TakeHead();
  Step OnHead();
  Step StartBody(uint64_t length);
  Step TakeBody();
  Step TakeChunks();
  Step Done() {
    state_ = State::kDone;
    return Step::kRequest;
  }
  Step Refuse(HttpReply reply, bool read = false);

  const Limits& limits_;
  const Router& router_;
  const std::shared_ptr<ByteBudget> budget_;
  std::string peer_, client_;

  InputBuffer input_;
  State state_ = State::kHead;
  bool room_out_ = false, into_body_ = false;  // where the room is
  std::optional<RequestParser> parser_;
  std::shared_ptr<Body> body_;
  size_t body_bytes_ = 0;  // stated
  Progress progress_;
  Clock::time_point received_, deadline_ = Clock::time_point::max();
  bool is_head_request_ = false, keep_alive_ = false, is_http10_ = false;
  Refusal refusal_;
};

}  // namespace sluice::serve
