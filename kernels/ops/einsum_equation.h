#pragma once

#include <string>
#include <vector>

#include "sluice/tensor.h"

namespace sluice {

// An Einsum equation for inputs of certain ranks. Every axis has a label; the axes of an ellipsis have labels
// of their own, equal where they are equally far from the ellipsis' end.
struct EinsumEquation {
  std::vector<std::vector<int>> inputs;
  std::vector<int> output;
  int labels = 0;  // they are less than this

  // Throws Error{kInvalidModel} without the node's name.
  static EinsumEquation Parse(const std::string& text, const std::vector<int64_t>& ranks);

  // Sizes of all labels: equal wherever a label occurs, or 1, which repeats. 0 for labels that do not occur.
  // Throws like Parse.
  std::vector<int64_t> SizesOf(const std::vector<Shape>& shapes) const;
};

}  // namespace sluice
