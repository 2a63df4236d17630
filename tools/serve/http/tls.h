#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <mutex>
#include <string>

#include "tools/serve/front_end.h"

namespace sluice::serve {

// The TLS settings of new connections; files that change are read again. Thread-safe.
class TlsContexts {
 public:
  // Throws Error{kInvalidArgument} where files are missing or do not fit together.
  explicit TlsContexts(const TlsOptions& options);

  // Looks at the files at most once a second; broken ones leave the settings as they were.
  std::shared_ptr<boost::asio::ssl::context> Current();

 private:
  const TlsOptions options_;
  std::mutex mutex_;
  std::shared_ptr<boost::asio::ssl::context> current_;
  std::string state_;  // of the files
  Clock::time_point looked_;
};

// The common name of a connection's client certificate; "" without one.
std::string ClientNameOf(SSL* ssl);

}  // namespace sluice::serve
