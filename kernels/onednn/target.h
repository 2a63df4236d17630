#pragma once

#include <string>

namespace sluice::onednn {

// The version and the instruction set that oneDNN uses here, which its orders of weights depend on:
// "2.6.3, instruction set 0x1ff".
std::string TargetName();

}  // namespace sluice::onednn
