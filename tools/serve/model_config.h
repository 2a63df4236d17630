#pragma once

#include <string>
#include <string_view>

#include "tools/serve/model.h"

namespace sluice::serve {

// Sets what the text of a model.json states and leaves the rest of `config` as it is. `place` names the file
// in messages; a file of labels is looked for in `folder` and nowhere else. Throws Error{kInvalidArgument}
// that names file, key and expectation, for unknown and repeated keys too.
void ApplyModelJson(std::string_view text, const std::string& place, const std::string& folder,
                    ModelConfig& config);

// A line for each key: name, type, meaning, default. For --help.
std::string ModelJsonHelp();

}  // namespace sluice::serve
