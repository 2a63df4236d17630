#pragma once

#include <cstdint>

namespace sluice {

// What kernels may trade for speed. Errors are those of one convolution against exact sums, as shares of its largest
// output.
enum class Accuracy : uint8_t {
  kDefault,  // algorithms whose errors stay below 5e-5
  kStrict,   // plain sums in float: no Winograd convolutions; what is infinite or NaN stays in the windows that see it
  kFast,     // larger tiles of Winograd too, with errors of up to 5e-4
};

}  // namespace sluice
