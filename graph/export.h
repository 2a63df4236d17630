#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "graph/graph.h"
#include "graph/late_products.h"

namespace sluice {

// Takes the next bytes of a file.
using ByteSink = std::function<void(std::span<const std::byte>)>;

struct ExportOptions {
  // Where constants of external_from_bytes and more go; none: everything is in the model. Models of 2 GB and
  // more need it, since protobuf allows no larger message.
  ByteSink external;
  std::string external_name;  // of that file, beside the model
  int64_t external_from_bytes = 1024;
  // By which constants are multiplied while they are written; see TakeLateProducts.
  LateFactors factors;
};

// Writes the graph as an ONNX model of the operators and versions that its nodes have; post-ops become nodes
// of their own. Constants go from where they are to the sink, without a copy. Throws Error{kUnsupported} for
// nodes whose version is not the one that the graph's opset selects, Error{kInvalidArgument} for models that
// are too large; before anything is written. Large constants lie aligned in the file.
void ExportOnnx(const Graph& graph, const ByteSink& model, const ExportOptions& options = {});

// The same as bytes, for small models.
std::string ExportOnnxBytes(const Graph& graph);

// Writes post-ops as standard nodes of `opset` after their node, nested graphs included; the graph's own opset
// stays. Throws Error{kUnsupported} where the opset has no operators for one.
void UnfusePostOps(Graph& graph, int64_t opset);

}  // namespace sluice
