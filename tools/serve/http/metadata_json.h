#pragma once

#include <string>
#include <vector>

#include "tools/serve/types.h"

// What the server knows, as the protocol's JSON.
namespace sluice::serve {

std::string ServerJson();
std::string ModelJson(const ModelInfo& info);
// As Triton's model configuration.
std::string ConfigJson(const ModelInfo& info);
std::string StatisticsJson(const std::vector<ModelStatistics>& statistics);
std::string IndexJson(const std::vector<IndexEntry>& entries);

}  // namespace sluice::serve
