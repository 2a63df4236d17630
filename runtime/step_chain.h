#pragma once

#include "runtime/plan.h"

namespace sluice {

// Whether `next`, a kernel prepared for `node`, should join `step`: `node` is the only one to read what the
// step makes, and has it as its first input in the layout in which it is made. Both then run a few rows at a
// time (kernels/row_chain.h).
bool JoinsByRows(const Step& step, const Node& node, const PreparedStep& next);

// The two as one, which makes what `next` makes. The value between them gets no memory.
Step JoinByRows(Step step, Step next);

}  // namespace sluice
