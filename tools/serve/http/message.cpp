#include "tools/serve/http/message.h"

#include <fmt/format.h>

#include <iterator>

#include "tools/serve/http/json_writer.h"
#include "tools/serve/model_record.h"

namespace sluice::serve {

int HttpStatus(Reason reason) {
  switch (reason) {
    case Reason::kInvalid:
      return 400;
    case Reason::kUnauthenticated:
      return 401;
    case Reason::kNotFound:
      return 404;
    case Reason::kTimeout:
      return 504;
    case Reason::kCancelled:
      return 499;
    case Reason::kTooLarge:
      return 413;
    case Reason::kRateLimited:
      return 429;
    case Reason::kOverloaded:
    case Reason::kUnavailable:
      return 503;
    case Reason::kUnsupported:
      return 501;
    case Reason::kInternal:
      return 500;
  }
  return 500;
}

std::string_view StatusText(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
  }
  return "Error";
}

HttpReply ErrorReply(int status, std::string_view message) {
  HttpReply reply;
  reply.status = status;
  reply.text = "{\"error\":";
  AppendJsonString(message, reply.text);
  reply.text += '}';
  reply.error = message;
  reply.outcome = ReasonName(status >= 500 ? Reason::kInternal : Reason::kInvalid);
  return reply;
}

HttpReply ErrorReply(const ServeError& error) {
  HttpReply reply = ErrorReply(HttpStatus(error.reason()), error.what());
  reply.outcome = ReasonName(error.reason());
  if (error.retry_after_s() > 0)
    reply.headers.emplace_back("Retry-After", std::to_string(error.retry_after_s()));
  else if (error.reason() == Reason::kOverloaded)
    reply.headers.emplace_back("Retry-After", "1");
  if (error.reason() == Reason::kUnauthenticated) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  return reply;
}

std::string HeadOf(const HttpReply& reply, std::string_view connection) {
  std::string head;
  head.reserve(256);
  auto out = std::back_inserter(head);
  fmt::format_to(out, "HTTP/1.1 {} {}\r\n", reply.status, StatusText(reply.status));
  const size_t bytes = reply.body_bytes();
  if (bytes > 0) fmt::format_to(out, "Content-Type: {}\r\n", reply.content_type);
  if (reply.status != 304) fmt::format_to(out, "Content-Length: {}\r\n", bytes);
  for (const auto& [name, value] : reply.headers) fmt::format_to(out, "{}: {}\r\n", name, value);
  if (!connection.empty()) fmt::format_to(out, "Connection: {}\r\n", connection);
  head += "\r\n";
  return head;
}

}  // namespace sluice::serve
