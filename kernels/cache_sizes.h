#pragma once

#include <cstdint>

namespace sluice {

// Of one core; what most processors have where the system does not say.
int64_t L2Bytes();

}  // namespace sluice
