#pragma once

#include <functional>

#include "runtime/frame.h"

namespace sluice {

// Runs all steps of the frame's plan on the calling thread's TBB arena, or on the calling thread
// alone inside a SerialScope. Steps start when those they depend on are done; tiles of one step run
// side by side. Returns when nothing of the run is left. The first exception is rethrown.
// The calling thread's RunLimits hold. Frame::Begin must have been called.
// `observe`, which may be empty, is called after each step and before those that wait for it, once at a time.
using StepObserver = std::function<void(int step)>;
void Execute(Frame& frame, const PrepareContext::SubgraphMaker& make_subgraph, const StepObserver& observe = {});

}  // namespace sluice
