#pragma once

#include "graph/passes/pass.h"

namespace sluice {

// One a file, named after it; graph/passes/pipeline.cpp has their order.
extern const Pass kFoldConstants, kRemoveDead, kRemoveNoOps, kMergeEqual, kFoldAffine, kFoldPads,
    kFindActivations, kFusePostOps, kSinkTransposes, kHoistActivations, kInlineBranches, kRunByRows;

}  // namespace sluice
