#pragma once

#include <functional>
#include <span>

#include "runtime/plan.h"

namespace sluice {

// What a plan is made for: one entry for each graph input.
struct InputType {
  ValueType::Kind kind = ValueType::Kind::kTensor;  // kOptional: absent
  TensorDesc desc;                                  // row-major; of sequences and maps only the element type
  DataType key_type = DataType::kUndefined;         // of a map or of the maps in a sequence

  bool operator==(const InputType&) const = default;
};

// Told of a constant of the graph whose elements nobody will read any more, not even the plan.
using ReleaseConstant = std::function<void(ValueId)>;

// Finds the kernel for a node: PrepareKernel, or something that knows better (runtime/tuner.h).
using ChooseKernel = std::function<PreparedStep(const Node&, const std::function<PrepareContext()>& make_context)>;

// Chooses kernels, layouts and memory for every step of `graph`, which must be resolved and outlive
// the plan. Runs on the calling thread alone. `release` may free the constants named to it at once, if
// no other plan will be made. Throws Error.
Plan MakePlan(const Graph& graph, std::span<const InputType> inputs,
              const PrepareContext::SubgraphMaker& make_subgraph, const ReleaseConstant& release = {},
              const ChooseKernel& choose = PrepareKernel);

}  // namespace sluice
