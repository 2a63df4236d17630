#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tools/serve/pending.h"

namespace sluice::serve {

// What went wrong inside, for the log of the server: of which request, and the whole text.
using OnFailure = std::function<void(const InferRequest&, const std::string&)>;

// Runs requests that agree in one execution and takes the result apart; where that fails, each alone, so that
// one bad request costs no other its answer. An answer each; fills their `timing` and counts executions in
// `record`. `cancel` ends the run. Sets `batches` to false where the model
// proves unable to run them: its outputs do not have a row each, or requests succeed alone only.
std::vector<Service::Answer> RunTogether(std::span<const PendingPtr> members, ModelQueue& queue,
                                         const std::atomic<bool>& cancel, std::atomic<bool>& batches,
                                         const OnFailure& on_failure);

// What a client may read of an error of a run.
ServeError ToServeError(const std::exception& error, const InferRequest& request,
                        const OnFailure& on_failure);

}  // namespace sluice::serve
