#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace sluice::tools {

// What a run of two models on the same made-up inputs says.
struct ConversionCheck {
  bool ran = false;
  std::string reason;        // why not
  double largest_error = 0;  // relative to the largest number of the output
  bool not_finite = false;   // some results are no finite numbers, of which little can be told
};

// Runs `original` as it is written and the model in `file`, both on seeded inputs; in parts where that says the
// same in less time (check_in_parts.h). Where `approximate`, the
// results may differ as those of rounded weights do. Throws Error{kInternal} naming the output for results
// that differ more and for a model that does not run where the original does. `stage` is told what is at
// hand.
ConversionCheck CheckByRun(std::unique_ptr<Graph> original, const std::string& file, bool approximate,
                           const std::function<void(std::string_view)>& stage);

// Names and types of a model's inputs and outputs.
struct Signature {
  explicit Signature(const Graph& graph);

  struct Port {
    std::string name;
    ValueType type;
    bool shared = false;  // an output that is an input or another output as well: its name may change
  };
  std::vector<Port> inputs, outputs;
};

// Reads the model back: it must be well-formed and have these inputs and outputs. Throws Error{kInternal}.
void CheckByImport(const Signature& signature, const std::string& file);

}  // namespace sluice::tools
