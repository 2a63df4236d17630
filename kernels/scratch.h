#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// Memory of the calling thread, handed out like a stack and kept for the next use. A task that runs
// nested inside another on the same thread gets memory of its own above it.
class Scratch {
 public:
  // Aligned to 64 bytes, uninitialised. Throws Error{kOutOfMemory}.
  explicit Scratch(int64_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::byte* data() const { return data_; }

 private:
  std::byte* data_;
  int64_t bytes_;
};

}  // namespace sluice
