#pragma once

#include <vector>

#include "kernels/kernel.h"

namespace sluice {

// A node's post-ops on float outputs [n, c, spatial...] in a blocked layout, with vectors, a piece of one
// block of channels at a time.
class BlockedPostOps {
 public:
  BlockedPostOps() = default;
  // Of the post-ops from `first` on. Declines operands that are neither like the output nor one number for
  // each channel nor a single number; asks for those like the output in `layout`.
  BlockedPostOps(PrepareContext& ctx, size_t first, Layout layout);

  bool empty() const { return steps_.empty(); }

  // values: `pixels` neighbouring positions of channels [c, c + block), which are at `offset` floats of the
  // output. Channels past the last are zero afterwards.
  void Apply(const RunContext& ctx, float* values, int64_t offset, int64_t c, int64_t pixels) const;

 private:
  enum class Reach : uint8_t { kNone, kFull, kChannel, kScalar };
  struct Step {
    PostOp op;
    Reach reach;
  };

  std::vector<Step> steps_;
  int64_t channels_ = 0, block_ = 1;
};

}  // namespace sluice
