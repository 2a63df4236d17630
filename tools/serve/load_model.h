#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "tools/serve/model.h"
#include "tools/serve/scan.h"

namespace sluice::serve {

// Loads, checks and warms up a version. Throws Error whose message names files relative to `root` and nothing
// outside it; Error{kCancelled} once `cancel` is true. `options` say how sessions run; what model.json states
// comes on top.
std::shared_ptr<const Model> LoadModel(const std::string& root, const std::string& name, int64_t version,
                                       const FoundVersion& found, const SessionOptions& options,
                                       const std::atomic<bool>& cancel);

}  // namespace sluice::serve
