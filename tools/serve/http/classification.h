#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sluice/tensor.h"

namespace sluice::serve {

// Triton's classification of an output: of each row of the first dimension (of all elements, where there is
// but one dimension) the `count` largest as strings `score:index` or `score:index:label`, best first; BYTES
// [rows, count] or [count], fewer where a row has fewer. Throws ServeError{kInvalid} unless scores are FP16,
// FP32 or FP64.
Tensor Classify(const Tensor& scores, std::string_view name, int64_t count,
                const std::vector<std::string>& labels);

}  // namespace sluice::serve
