#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace sluice {

// Appends standard operators of one opset to a graph, for importers that write graphs of their own.
class GraphBuilder {
 public:
  // `graph` outlives the builder; its opset for ai.onnx becomes `opset`.
  GraphBuilder(Graph& graph, int64_t opset);

  using Attrs = std::vector<std::pair<std::string, Attribute>>;

  // Begins the names of the nodes and values made from now on: "conv3" gives "conv3/Conv", "conv3/Conv:2".
  void SetPrefix(std::string prefix) { prefix_ = std::move(prefix); }
  const std::string& prefix() const { return prefix_; }
  // The first output of a new node. Throws Error{kUnsupported} where the opset has no such operator.
  ValueId Op(const std::string& type, std::vector<ValueId> inputs, Attrs attrs = {});
  // All of its outputs.
  std::vector<ValueId> Ops(const std::string& type, std::vector<ValueId> inputs, int outputs,
                           Attrs attrs = {});
  // `what` ends its name.
  ValueId Constant(const std::string& what, Tensor tensor);
  ValueId Floats(const std::string& what, std::vector<float> values);  // [n]
  ValueId Scalar(const std::string& what, float value);                // []
  ValueId Ints(const std::string& what, std::vector<int64_t> values);  // [n]

  // The forms of these operators differ between opsets.
  ValueId Clip(ValueId x, float low, float high);
  ValueId Slice(ValueId x, std::vector<int64_t> starts, std::vector<int64_t> ends, std::vector<int64_t> axes,
                std::vector<int64_t> steps = {});
  std::vector<ValueId> Split(ValueId x, int64_t axis, std::vector<int64_t> sizes);
  ValueId Reduce(const std::string& type, ValueId x, std::vector<int64_t> axes, bool keepdims);
  ValueId Reshape(ValueId x, std::vector<int64_t> shape);
  ValueId Transpose(ValueId x, std::vector<int64_t> perm);
  ValueId Concat(std::vector<ValueId> parts, int64_t axis);
  ValueId Unsqueeze(ValueId x, std::vector<int64_t> axes);
  ValueId Squeeze(ValueId x, std::vector<int64_t> axes);
  ValueId Pad(ValueId x, std::vector<int64_t> pads, float value);

  Graph& graph() { return graph_; }
  int64_t opset() const { return opset_; }

 private:
  std::string UniqueName(const std::string& what);

  Graph& graph_;
  int64_t opset_;
  std::string prefix_;
  std::map<std::string, int> taken_;
};

}  // namespace sluice
