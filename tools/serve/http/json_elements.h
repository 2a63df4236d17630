#pragma once

#include <simdjson.h>

#include <string_view>

#include "sluice/tensor.h"

namespace sluice::serve {

// Fills the tensor from an array, nested or flat, row-major. Floats may be the strings NaN, Infinity and
// -Infinity, with quotes or without; BOOL may be 0 and 1. Throws ServeError{kInvalid} for other elements, for
// numbers that the type cannot hold, for more or fewer than the tensor has and for arrays in more than
// max_depth others, and simdjson::simdjson_error for what is no JSON.
void ReadJsonElements(simdjson::ondemand::array array, std::string_view name, int max_depth, Tensor& tensor);

}  // namespace sluice::serve
