#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/serve/http/body.h"
#include "tools/serve/types.h"

namespace sluice::serve {

struct HttpRequest {
  std::string method;                                        // "GET"
  std::string target;                                        // as sent: path and query
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::shared_ptr<Body> body;                                // null: none
  std::string client;                                        // the name of the certificate or of the API key
  std::string peer;                                          // its address
  Clock::time_point received;
  std::shared_ptr<std::atomic<bool>> cancelled;

  // "" if it is not there; the first where it is there more than once.
  std::string_view header(std::string_view lower_name) const {
    for (const auto& [name, value] : headers)
      if (name == lower_name) return value;
    return {};
  }
};

// An answer: `text`, then `parts` as they lie in memory that `owners` keep.
struct HttpReply {
  int status = 200;
  std::string_view content_type = "application/json";
  std::vector<std::pair<std::string_view, std::string>> headers;
  std::string text;
  std::vector<std::span<const char>> parts;
  std::vector<std::shared_ptr<const void>> owners;
  bool close = false;  // the connection, afterwards

  // For /metrics and the log.
  std::string model, outcome = "success";
  std::string error;  // what the body says of it, "" for none

  size_t body_bytes() const {
    size_t bytes = text.size();
    for (const auto& part : parts) bytes += part.size();
    return bytes;
  }
};

// The status of an error.
int HttpStatus(Reason reason);
// "Not Found"; "Error" for codes that the server does not send.
std::string_view StatusText(int status);
// {"error": "..."} with status and, where it says so, Retry-After.
HttpReply ErrorReply(const ServeError& error);
HttpReply ErrorReply(int status, std::string_view message);

// Status line and headers. A reply to HEAD states the length of the body that it does not have.
// connection  that header, "" for none.
std::string HeadOf(const HttpReply& reply, std::string_view connection);

}  // namespace sluice::serve
