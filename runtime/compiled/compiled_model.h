#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "graph/import.h"
#include "kernels/pack_cache.h"
#include "runtime/compiled/tables.h"
#include "runtime/planner.h"

namespace sluice {

// A compiled model that was read: its graph, and packed weights and choices of kernels for its plans. What it
// gives are views of the file's bytes.
class CompiledModel final : public PackSource {
 public:
  // `owner` keeps the bytes, which are aligned to 64, where they are. verify: the checksums of the weights
  // are checked too, for which all of them are read. Throws Error{kInvalidModel} for damage,
  // Error{kUnsupported} for a file of another version and for operators that are not known.
  CompiledModel(std::span<const std::byte> file, std::shared_ptr<const void> owner,
                const OperatorLookup& lookup, bool verify);

  const CompiledTables& tables() const { return tables_; }
  // Once.
  std::unique_ptr<Graph> TakeGraph() { return std::move(graph_); }

  // Takes the kernels that were chosen when the model was compiled; asks `inner` for other sizes. Packed
  // weights come from the file where it has them. It must live as long as the result.
  ChooseKernel Chooser(ChooseKernel inner);
  // After the first plan, where all sizes are known, which has freed the constants of `graph` that it does
  // not read: throws Error{kInvalidModel} if the file leaves out others.
  void CheckLeftOut(const Graph& graph) const;

  PackedWeights Find(const Tensor& weights, const std::string& format, int64_t packed_bytes) override;
  void Note(const Tensor&, const std::string&, const PackedWeights&) override {}

 private:
  Tensor Constant(uint32_t number, DataType type, Shape shape, bool may_lack_elements);
  void PlaceConstants();
  bool LeftOut(uint32_t number) const {
    return tables_.constants[number].offset == CompiledTables::Constant::kLeftOut;
  }

  std::span<const std::byte> payload_;
  std::shared_ptr<const void> owner_;
  CompiledTables tables_;
  std::unique_ptr<Graph> graph_;
  // Addresses for the elements that the file leaves out. They read as zeros, so that no mistake and no damage
  // makes a kernel read anything else.
  std::shared_ptr<const void> zeros_;
  std::vector<const std::byte*> places_;                         // by number of a constant
  std::map<std::pair<const void*, int64_t>, uint32_t> numbers_;  // of constants, by address and size
  std::map<std::tuple<uint32_t, std::string, int64_t>, PackedWeights> packed_;
  std::map<const Node*, std::map<std::string, const CompiledTables::Choice*>> choices_;
};

}  // namespace sluice
