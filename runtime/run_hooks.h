#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "sluice/session.h"

namespace sluice {

// What a program hands a session to be called back by it. Nested graphs have the hooks of their session.
struct RunHooks {
  std::shared_ptr<Allocator> allocator;  // null: the process's own memory
  std::function<void(LogLevel, std::string_view)> log;
};

// An uninitialised tensor of numbers from `allocator`, or the process's own where that is null. Counts
// against the memory of the process either way. Throws Error{kOutOfMemory}.
Tensor AllocateTensor(const std::shared_ptr<Allocator>& allocator, DataType type, const Shape& shape);

}  // namespace sluice
