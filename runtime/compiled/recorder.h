#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/pack_cache.h"
#include "runtime/compiled/container.h"
#include "runtime/compiled/tables.h"
#include "runtime/planner.h"

namespace sluice {

// Watches a session being made, and writes what it has come to as a compiled model. The session must use the
// chooser that Watch gives, for all of its plans, and live until Write.
class ModelRecorder final : public PackSource {
 public:
  // The graph after all passes, before the first plan.
  void Begin(const Graph& graph);
  // `inner` as the session would have it.
  ChooseKernel Watch(ChooseKernel inner);

  // Writes the file. `tables` has what is not recorded here: facts, sources, outputs and notes. `planned` is
  // the graph of Begin, of which planning may have freed constants that only packed forms are read of: those
  // are left out.
  void Write(CompiledTables tables, const Graph& planned,
             const std::function<void(std::span<const std::byte>)>& sink) const;

  // Lets go of everything. The session may go on.
  void Stop();

  PackedWeights Find(const Tensor&, const std::string&, int64_t) override { return nullptr; }
  void Note(const Tensor& weights, const std::string& format, const PackedWeights& packed) override;

 private:
  struct Constant {
    Tensor tensor;  // keeps the elements that the plan may free
    int uses = 0;
  };
  struct Packed {
    std::weak_ptr<const Tensor> weights;
    int64_t bytes = 0;
  };
  class Layout;

  uint32_t Number(const Tensor& tensor);

  std::vector<Constant> constants_;
  std::map<std::pair<const void*, int64_t>, uint32_t> numbers_;  // of constants, by address and size
  std::vector<int64_t> value_constants_;                         // by value of the outermost graph; -1: none
  std::map<const Node*, uint32_t> nodes_;
  std::string graph_;
  mutable std::mutex mutex_;
  std::map<std::pair<uint32_t, std::string>, Packed> packed_;  // by constant and format
  std::map<std::pair<uint32_t, std::string>, CompiledTables::Choice> choices_;
};

}  // namespace sluice
