#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/serve/types.h"

namespace sluice::serve {

// How many of the best classes of an output a client wants instead of its elements, by the output's name:
// Triton's parameter `classification` of a requested output.
using ClassCounts = std::map<std::string, int64_t>;

// Makes of each row of those outputs (of all elements, where there is but one dimension) the `count` largest
// as texts "SCORE:INDEX" or "SCORE:INDEX:LABEL", the best first: BYTES [rows, count] or [count], fewer where
// a row has fewer. Counts are at least 1. Throws ServeError{kInvalid} for outputs other than FP16, FP32 and
// FP64.
void ClassifyOutputs(const ClassCounts& counts, const std::vector<std::string>& labels,
                     InferResponse& response);

}  // namespace sluice::serve
