#pragma once

#include "kernels/fold.h"

namespace sluice {

// FoldInto for floats, vectorised: blocks of at most kMaxFloatAdditions additions in a row are done in float,
// their sums added in double. Not for kProduct, whose intermediate results leave the range of float.
// box.count_step or box.length_step must be 1. One thread; the same bits for the same box wherever it lies.
constexpr int64_t kMaxFloatAdditions = 32;
void FoldFloatsInto(Fold fold, const float* src, const FoldBox& box, const double* shift, double* acc);

}  // namespace sluice
