#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/compiled/tables.h"

namespace sluice {

// What the form of a compiled model follows from beside its source: what this machine's kernels are, and
// those options that change the graph or the choice of kernels.
std::vector<Fact> FactsOf(const SessionOptions& options);

// "the accuracy: fast, here default", for each that differs; empty if none does.
std::string Differences(std::span<const Fact> compiled, std::span<const Fact> here);

}  // namespace sluice
