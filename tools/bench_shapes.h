#pragma once

#include <string>

#include "tools/model_args.h"

namespace sluice::tools {

// "random:2000", "random:2000:32-160" or "random:2000:64-256/32": so many sets of sizes, each open size drawn from the
// range, a multiple of the step; those of a first axis from 1 to 4.
struct RandomShapes {
  int64_t count = 0;
  int64_t low = 32, high = 160, step = 1;
};
// Throws Error{kInvalidArgument}.
RandomShapes ParseRandomShapes(const std::string& text);

// One set of sizes: open ones are drawn, the same for the same name. Equal seeds give equal sizes everywhere.
std::map<std::string, Shape> DrawShapes(const std::vector<ValueInfo>& inputs, const RandomShapes& shapes,
                                        uint64_t seed);

// Runs one session on that many sizes; prints what it keeps, what the process holds, and whether the last hundred runs
// took more than the first. `json`: file for the figures, or "".
int BenchShapes(const ModelOptions& options, const RandomShapes& shapes, const std::string& json);

}  // namespace sluice::tools
