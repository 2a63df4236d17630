#pragma once

#include "kernels/onednn/api.h"
#include "kernels/onednn/post_ops.h"

namespace sluice::onednn {

// Attributes with the post-ops and a scratchpad that the caller provides. Appends the arguments that the
// primitive takes for operands, in the order of `ops`; a full operand looks like dst.
dnnl::primitive_attr MakeAttr(const std::vector<FusedOp>& ops, const Md& dst, int64_t channel_axis,
                              std::vector<Primitive::Argument>& operands);

}  // namespace sluice::onednn
