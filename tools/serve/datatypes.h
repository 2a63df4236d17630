#pragma once

#include <optional>
#include <string_view>

#include "sluice/data_type.h"

namespace sluice::serve {

// Names of element types in the Open Inference Protocol: BOOL, UINT8 to INT64, FP16, BF16, FP32, FP64, BYTES
// (strings). Nothing for types that the protocol has no name for, and for other names.
std::optional<std::string_view> DatatypeName(DataType type);
std::optional<DataType> ParseDatatype(std::string_view name);

}  // namespace sluice::serve
