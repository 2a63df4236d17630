#pragma once

#include <string>

#include "sluice/error.h"

namespace sluice {

// Rethrows `error`, which is being handled, with "place: " in front unless it begins with that. Errors that
// say when a run was stopped stay as they are.
[[noreturn]] void RethrowAt(const std::string& place, const Error& error);

}  // namespace sluice
