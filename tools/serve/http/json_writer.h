#pragma once

#include <string>
#include <string_view>

#include "sluice/tensor.h"

namespace sluice::serve {

// Appends "..." with what JSON wants escaped; bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string& json);

// Appends the elements as a flat array. Floats are as short as reads back the same; NaN and infinities, which
// JSON lacks, are the strings "NaN", "Infinity" and "-Infinity", as in protobuf's JSON. Throws
// ServeError{kInvalid} for BF16, which the protocol has no JSON for, and for strings that are not UTF-8.
void AppendJsonElements(const Tensor& tensor, std::string_view name, std::string& json);

}  // namespace sluice::serve
