#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sluice/tensor.h"

namespace sluice::tools {

// What is told about numbers that a model holds: min, max, mean, standard deviation, the shares of zeros and
// of negative ones, NaNs and infinities if there are any; of few numbers the numbers themselves. Pairs of a
// word and a value, none for types that are no numbers.
std::vector<std::pair<std::string, std::string>> WeightFacts(const Tensor& tensor);

}  // namespace sluice::tools
