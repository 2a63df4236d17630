#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// Of one core; what most processors have where the system does not say.
int64_t L2Bytes();

// All levels in KiB as the system states them, "32, 1024, 33792"; 0 where it does not.
std::string CacheSizesText();

}  // namespace sluice
