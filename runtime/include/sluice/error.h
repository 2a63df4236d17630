#pragma once

#include <stdexcept>
#include <string>

#pragma GCC visibility push(default)

namespace sluice {

enum class ErrorCode {
  kInvalidModel,      // the model's bytes break a rule of the format or of the operator set
  kInvalidArgument,   // the caller's names, types, shapes or options do not fit
  kUnsupported,       // valid, but Sluice has no definition or kernel for it
  kOutOfMemory,       // an allocation failed or a stated limit would be passed
  kCancelled,
  kDeadlineExceeded,
  kInternal,          // a defect of Sluice
};

// "InvalidModel" and so on.
const char* ErrorCodeName(ErrorCode code);

// The only exception type that Sluice throws. what() is one line: place, expectation, fact.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace sluice

#pragma GCC visibility pop
