#pragma once

#include "sluice/session.h"

namespace sluice {

// When the runs under way on this thread must stop. Graphs nested in a node run under the limits of the
// run that they belong to, on whatever thread.
class RunLimits {
 public:
  explicit RunLimits(const RunOptions& options) : options_(options) {}

  // Throws Error{kCancelled, kDeadlineExceeded}. Tens of nanoseconds.
  void Check() const;

  // Of the calling thread; null: none.
  static const RunLimits* Current() { return current_; }

  // Makes `limits`, which may be null, those of the calling thread for the length of a scope.
  class Scope {
   public:
    explicit Scope(const RunLimits* limits) : former_(current_) { current_ = limits; }
    ~Scope() { current_ = former_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const RunLimits* former_;
  };

 private:
  static thread_local constinit const RunLimits* current_;
  const RunOptions& options_;
};

}  // namespace sluice
