#include "graph/place.h"

#include <string_view>

namespace sluice {

void RethrowAt(const std::string& place, const Error& error) {
  if (error.code() == ErrorCode::kCancelled || error.code() == ErrorCode::kDeadlineExceeded ||
      std::string_view(error.what()).starts_with(place)) {
    throw;
  }
  throw Error(error.code(), place + ": " + error.what());
}

}  // namespace sluice
