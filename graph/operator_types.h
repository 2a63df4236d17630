#pragma once

#include <string_view>
#include <vector>

#include "sluice/data_type.h"

namespace sluice {

// The element types that Operator::types lists, ascending. Besides the names of types it may have
//   T         all numbers: the floats of 16 bits and more and the integers of 8 bits and more
//   integers, unsigned integers   those of 8 bits and more
//   all       all of 8 bits and more: T, bool, string, the complex numbers and the floats of 8 bits
//   any       all there are
// Throws Error{kInternal} for other words.
std::vector<DataType> ParseTypes(std::string_view types);

}  // namespace sluice
