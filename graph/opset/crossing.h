#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/builder.h"
#include "graph/graph.h"
#include "graph/passes/pass.h"

namespace sluice {

// A node while it crosses one change of its operator's definition, from the version before it or back.
// Adapters edit the node in place; what they add beside it is of the opset aimed at.
class Crossing {
 public:
  using Ints = std::vector<int64_t>;
  using Numbers = std::vector<double>;

  // `boundary` is the version whose definition differs from the one before; `up`: towards it.
  Crossing(Graph& graph, NodeId id, GraphBuilder& build, const PassContext& ctx, int boundary, bool up)
      : graph_(graph), id_(id), build_(build), ctx_(ctx), boundary_(boundary), up_(up) {}

  Node& node() const { return graph_.node(id_); }
  Attributes& attrs() const { return node().attrs; }
  GraphBuilder& build() const { return build_; }
  // The opset aimed at.
  int64_t opset() const { return build_.opset(); }
  // Throws Error{kUnsupported}: "Resize 'up': version 18 does not become version 13: " + why.
  [[noreturn]] void Fail(const std::string& why) const;

  ValueId in(size_t i) const;  // kNone where absent
  bool has_input(size_t i) const { return in(i) != ValueId::kNone; }
  void SetInput(size_t i, ValueId value);
  // Inputs from `count` on.
  void DropInputs(size_t count);
  bool UsesOutput(size_t i) const;
  // Outputs from `count` on, which nobody uses.
  void DropOutputs(size_t count);

  const ValueType& type(ValueId value) const { return graph_.value(value).type; }
  DataType dtype(size_t i) const;
  std::optional<int64_t> rank(size_t i) const;
  int64_t NeedRank(size_t i) const;
  // Elements of constant inputs; nothing where the input is absent or not known.
  std::optional<Ints> ints(size_t i) const;
  std::optional<Numbers> numbers(size_t i) const;
  // The same; fails where the input is there and not constant.
  std::optional<Ints> NeedInts(size_t i, const char* what) const;
  std::optional<Numbers> NeedNumbers(size_t i, const char* what) const;

  // Constants of the given type.
  ValueId Constant(const std::string& what, DataType type, const Shape& shape, const Numbers& values) const;
  ValueId Scalar(const std::string& what, DataType type, double value) const {
    return Constant(what, type, {}, {value});
  }
  // A constant under another shape; a value through Reshape.
  ValueId Reshaped(ValueId value, const Shape& shape) const;

  // The node goes; `value` takes the place and the name of its first output.
  void Replace(ValueId value);
  // `make` is given what the node's output `i` is now and returns what its users read.
  void ChangeOutput(size_t i, const std::function<ValueId(ValueId)>& make);
  bool replaced() const { return !graph_.alive(id_); }

 private:
  void Rename(ValueId old, ValueId value);

  Graph& graph_;
  NodeId id_;
  GraphBuilder& build_;
  const PassContext& ctx_;
  int boundary_;
  bool up_;
};

// How nodes of an operator cross one change; null: this way nothing is to do or, where the operator did not
// exist before, it cannot be said. `ops` are names between spaces.
struct Adapter {
  std::string_view ops;
  int boundary;
  void (*up)(Crossing&);
  void (*down)(Crossing&);
};

// One file each.
std::span<const Adapter> MovedAttributeAdapters();  // attributes that became inputs
std::span<const Adapter> BroadcastingAdapters();    // opsets 7 and 8
std::span<const Adapter> AxisAdapters();            // Softmax and its kin, negative axes
std::span<const Adapter> ResizeAdapters();          // Upsample, Resize
std::span<const Adapter> FunctionAdapters();        // activations and comparisons written out
std::span<const Adapter> NormalizationAdapters();
std::span<const Adapter> SmallAdapters();  // everything else

// What tables say of attributes and element types that came or went with a version.
void CrossByTables(Crossing& crossing, int boundary, bool up);

}  // namespace sluice
