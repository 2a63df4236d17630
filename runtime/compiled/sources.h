#pragma once

#include <string>
#include <vector>

#include "runtime/compiled/tables.h"

namespace sluice {

// The state of a model's file and of the files of external data beside it. Throws Error{kInvalidArgument} for
// a file that is not there.
std::vector<SourceFile> SourcesOf(const std::string& model, const std::vector<std::string>& external);

// Whether all files are as they were.
bool Unchanged(const std::vector<SourceFile>& sources);

}  // namespace sluice
