#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "sluice/session.h"

namespace sluice::tools {

// Of the noise that a check gives to inputs.
constexpr uint64_t kSeed = 1;

struct ComparedOutput {
  std::string name;
  Value got, want;
};

// Networks for large pictures take minutes on slow machines, and most of what they compute says nothing new
// about their nodes. So they run on small pictures as far as that goes, and what depends on the size, as
// heads that reshape to a stated one do, runs by itself at its size on noise in the place of what it reads.
// Returns the outputs and all values where the first part ends, of the model in `file` and of `original`,
// each as it is written; nothing where the work is small anyway or the two models have no such parts in
// common. Requires inferred types.
std::optional<std::vector<ComparedOutput>> RunInParts(const Graph& original, const std::string& file,
                                                      const std::function<void(std::string_view)>& stage);

}  // namespace sluice::tools
