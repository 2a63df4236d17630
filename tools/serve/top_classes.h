#pragma once

#include <string>
#include <vector>

#include "sluice/session.h"
#include "tools/serve/types.h"

namespace sluice::serve {

// Adds the `top` best of the last dimension of the model's first FP32, FP16 or FP64 output, best first:
// `top_scores` FP32, `top_indices` INT64 and `top_labels` BYTES, each [..., top]; fewer where there are fewer
// classes. Of [n, classes, 1, 1] the last dimension is the classes. Labels that are not known are the class's
// number. Throws ServeError{kInvalid} where no output has such a type.
void AddTop(const NamedValues& outputs, const std::vector<ValueInfo>& infos, int64_t top,
            const std::vector<std::string>& labels, InferResponse& response);

}  // namespace sluice::serve
