#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <memory>
#include <string_view>

#include "tools/serve/front_end.h"
#include "tools/serve/http/message.h"

namespace sluice::serve {

// Turns the bytes of one request into a HttpRequest: the head with put(), then, of chunked bodies, the body
// too; bodies of a stated length are for the caller to read. Throws ServeError where a chunked body passes
// the limits.
class RequestParser final : public boost::beast::http::basic_parser<true> {
 public:
  RequestParser(const Limits& limits, std::shared_ptr<ByteBudget> budget);

  // Takes bytes from the front of `input`, as one step needs them, and says how many. `error` is need_more
  // where it wants to see more; any other error ends the connection.
  size_t Feed(std::string_view input, boost::system::error_code& error);

  HttpRequest& request() { return request_; }
  // Of the request's head so far.
  size_t head_bytes() const { return head_bytes_; }
  bool expects_continue() const { return expects_continue_; }
  // A transfer encoding that is not chunked alone.
  bool unknown_encoding() const { return transfer_encoding_ && !chunked(); }

 private:
  using ErrorCode = boost::system::error_code;
  using StringView = boost::beast::string_view;
  using Verb = boost::beast::http::verb;
  using Field = boost::beast::http::field;

  void on_request_impl(Verb, StringView method, StringView target, int version, ErrorCode&) override;
  void on_response_impl(int, StringView, int, ErrorCode&) override {}
  void on_field_impl(Field field, StringView name, StringView value, ErrorCode& error) override;
  void on_header_impl(ErrorCode&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, ErrorCode&) override {}
  size_t on_body_impl(StringView, ErrorCode& error) override;
  void on_chunk_header_impl(uint64_t, StringView, ErrorCode&) override {}
  size_t on_chunk_body_impl(uint64_t, StringView body, ErrorCode&) override;
  void on_finish_impl(ErrorCode&) override {}

  const Limits& limits_;
  std::shared_ptr<ByteBudget> budget_;
  HttpRequest request_;
  size_t head_bytes_ = 0;
  bool expects_continue_ = false;
  bool transfer_encoding_ = false;
};

}  // namespace sluice::serve
