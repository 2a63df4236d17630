#pragma once

#include <string>
#include <vector>

namespace sluice::tools {

// The pictures that arguments name: files, folders (those directly in it) and patterns that no shell has
// expanded. Throws Error{kInvalidArgument} for a folder or a pattern without any.
std::vector<std::string> FindPictures(const std::vector<std::string>& arguments);

}  // namespace sluice::tools
