#pragma once

#include <string>
#include <vector>

#include "tools/model_args.h"
#include "tools/preprocess.h"

namespace sluice::tools {

struct DeadOptions {
  std::vector<std::string> pictures;  // files, folders, patterns
  PictureOptions picture;
  std::string json;
};

// Prints how often what goes into each Relu, LeakyRelu and PRelu is negative, and which channels never are
// positive, over all the pictures; writes the same as JSON where asked for. Throws Error{kInvalidArgument}
// unless the model takes one picture, and where it has no such activation.
void ReportDead(const ModelOptions& model, const DeadOptions& options);

}  // namespace sluice::tools
