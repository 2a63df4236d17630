#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sluice::serve {

// Who may call, and how often: the API keys of a file, read again when it changes. Thread-safe.
class Access {
 public:
  // path "": everybody may. Throws Error{kInvalidArgument} naming file and line.
  explicit Access(const std::string& path);
  ~Access();

  // `authorization` is the value of that header or metadata entry, "Bearer KEY"; "" if there is none. The
  // name of the key. Throws ServeError{kUnauthenticated, kRateLimited}. Keys are compared in constant time.
  std::string Check(std::string_view authorization) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::serve
