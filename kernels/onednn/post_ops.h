#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel.h"

namespace sluice::onednn {

// A post-op that oneDNN applies itself.
struct FusedOp {
  // How much of the output one operand covers.
  enum class Reach : uint8_t { kNone, kScalar, kChannel, kFull };

  PostOp op;
  Reach reach = Reach::kNone;
};

// The longest prefix of the node's post-ops that oneDNN can apply to a float output whose channels are
// along `channel_axis`. The rest is left to the caller.
std::vector<FusedOp> FusePostOps(const PrepareContext& ctx, int64_t channel_axis);

}  // namespace sluice::onednn
