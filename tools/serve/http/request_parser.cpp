#include "tools/serve/http/request_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>

namespace sluice::serve {
namespace {

namespace http = boost::beast::http;

constexpr size_t kMostHeaders = 128;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// Fields that say how a request is to be read; two of one make it mean two things.
bool MustBeSingle(std::string_view name) {
  return name == "inference-header-content-length" || name == "content-encoding" || name == "authorization" ||
         name == "host" || name == "content-length" || name == "content-type";
}

}  // namespace

RequestParser::RequestParser(const Limits& limits, std::shared_ptr<ByteBudget> budget)
    : limits_(limits), budget_(std::move(budget)) {
  header_limit(static_cast<uint32_t>(std::min<int64_t>(limits.max_header_bytes, 1 << 30)));
  body_limit(boost::none);  // checked where there is a route
}

size_t RequestParser::Feed(std::string_view input, ErrorCode& error) {
  const bool in_head = !is_header_done();
  const size_t used = put(boost::asio::const_buffer(input.data(), input.size()), error);
  if (in_head) head_bytes_ += used;
  if (in_head && static_cast<int64_t>(head_bytes_) > limits_.max_header_bytes)
    error = http::error::header_limit;
  return used;
}

void RequestParser::on_request_impl(Verb, StringView method, StringView target, int, ErrorCode&) {
  request_.method = method;
  request_.target = target;
}

void RequestParser::on_field_impl(Field, StringView name, StringView value, ErrorCode& error) {
  if (is_header_done() || request_.body != nullptr) return;  // a trailer
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), Lower);
  if (request_.headers.size() >= kMostHeaders) {
    error = http::error::header_limit;
    return;
  }
  // A list of equal lengths is allowed to mean one; others read it otherwise.
  if (lower == "content-length" && value.find_first_not_of("0123456789") != StringView::npos) {
    error = http::error::bad_content_length;
    return;
  }
  if (MustBeSingle(lower) && !request_.header(lower).empty()) {
    error = http::error::bad_field;
    return;
  }
  if (lower == "expect") expects_continue_ = boost::beast::iequals(value, "100-continue");
  if (lower == "transfer-encoding") transfer_encoding_ = true;
  request_.headers.emplace_back(std::move(lower), std::string(value));
}

// The caller reads bodies of a stated length.
size_t RequestParser::on_body_impl(StringView, ErrorCode& error) {
  error = http::error::unexpected_body;
  return 0;
}

size_t RequestParser::on_chunk_body_impl(uint64_t, StringView body, ErrorCode&) {
  if (!request_.body) request_.body = std::make_shared<Body>(budget_);
  request_.body->Append({body.data(), body.size()}, static_cast<size_t>(limits_.max_request_bytes));
  return body.size();
}

}  // namespace sluice::serve
