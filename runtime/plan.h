#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "kernels/kernel.h"
#include "kernels/pack_cache.h"
#include "sluice/session.h"

namespace sluice {

// Where the value in a slot lies during a run.
struct Place {
  enum class Kind : uint8_t {
    kArena,     // the run's arena
    kConstant,  // known since planning
    kInput,     // the caller's memory; index into Plan::inputs
    kOutput,    // memory of a result; index into Plan::results
    kDynamic,   // a Value that the run makes; index into Plan::dynamic_readers
  };
  Kind kind = Kind::kArena;
  int64_t offset = 0;  // of the value's first byte from where the memory named by kind and index begins
  int index = 0;
  Tensor constant;
};

// A value as a step sees it: what it is and where. Views of one buffer are slots of their own.
struct Slot {
  TensorDesc desc;  // meaningless for kDynamic
  Place place;
};

// The unit of a plan: one kernel on one set of slots.
struct Step {
  const Node* node = nullptr;        // null for reorders; the last one of a chain
  std::vector<const Node*> earlier;  // of a chain: those before (runtime/step_chain.h)
  std::string value;                 // of a reorder: the name of what is reordered
  std::unique_ptr<Kernel> kernel;    // null: run by Evaluate, since sizes are not known before
  std::vector<std::string> declined;
  int64_t tiles = 1;
  int64_t scratch_bytes = 0;
  std::vector<int> inputs;           // slots; -1 for absent
  std::vector<int> outputs;
  std::vector<int> successors;       // steps that wait for this one
  int dependencies = 0;              // how many steps this one waits for
};

// The compiled form of a graph for one set of input types and sizes. Immutable; runs share it.
struct Plan {
  struct Input {
    int dynamic = -1;  // index of the dynamic value that the caller's value becomes; -1: bytes
  };
  struct Output {
    int slot = -1;
  };
  std::vector<Input> inputs;         // one for each graph input
  std::vector<Output> outputs;       // one for each graph output
  std::vector<TensorDesc> results;   // memory made for the caller
  std::vector<Slot> slots;
  std::vector<Step> steps;           // in an order in which they may run
  std::vector<int> roots;            // steps without dependencies
  std::vector<int> dynamic_readers;  // uses of each dynamic value, as an output included
  std::deque<Tensor> constants;      // values computed while planning
  std::vector<PackedWeights> packed;  // all that the kernels hold, each once
  int64_t own_bytes = 0;             // held beside `packed` and the graph's constants; partly an estimate
  PlanInfo info;
};

}  // namespace sluice
