#pragma once

#include <string>

namespace sluice {

// The instruction set that the kernels of this folder use on this processor, as Highway calls it: "AVX3".
std::string SimdTarget();

}  // namespace sluice
