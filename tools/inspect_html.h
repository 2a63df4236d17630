#pragma once

#include <string>
#include <vector>

#include "tools/model_args.h"

namespace sluice::tools {

struct HtmlOptions {
  std::string output;
  int runs = 0;                       // measured on made-up inputs; 0: none
  std::vector<std::string> profiles;  // files of times, of the model and of the other one
  std::string against;                // another model, or empty
};

// Writes a page that shows the graph of a model, or of two with their differences, and needs nothing but
// itself. Returns a line about it. Throws Error{kUnsupported} where the command was built without the page,
// and what loading, running and writing throw.
std::string WriteInspectPage(const ModelOptions& model, const HtmlOptions& options);

}  // namespace sluice::tools
