#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernel.h"

namespace sluice {

// Prepares candidate `index` of the node's operator. Nothing if it declines; "oneDNN conv: weights are not
// constant" is added to `declined` then. Errors carry the node's name. Throws Error.
std::optional<PreparedStep> PrepareCandidate(const Node& node, size_t index,
                                             const std::function<PrepareContext()>& make_context,
                                             std::vector<std::string>& declined);

// Which candidate of the node's operator the kernel is: they are of different classes.
size_t CandidateOf(const Node& node, const Kernel& kernel);

}  // namespace sluice
