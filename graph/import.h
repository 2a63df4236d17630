#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/operator.h"

namespace sluice {

// Finds the definition of an operator as FindOperator does.
using OperatorLookup = std::function<ResolvedOperator(std::string_view domain, std::string_view name, int64_t opset)>;

// Graphs inside graphs, counted from 0 for the model's own, nest at most so deep.
constexpr int kMaxNesting = 64;

// Reads an ONNX model. The file is mapped; constants are views into the mapping where their alignment
// and type allow, and keep it alive. With `copy` all is read into memory instead, and nothing that later happens
// to the files matters. External data is found beside the file and nowhere else.
// `external`, if it is there, receives the names of the files of external data that were read.
// Every node is resolved to its definition (Node::op); all unknown operators are named in one error.
// Throws Error{kInvalidModel, kUnsupported, kInvalidArgument (no such file)}.
std::unique_ptr<Graph> ImportOnnx(const std::string& path, bool copy = false,
                                  const OperatorLookup& lookup = FindOperator,
                                  std::vector<std::string>* external = nullptr);

// The same from memory that `owner` keeps alive (null: what is kept is copied). External data is refused.
std::unique_ptr<Graph> ImportOnnxBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                       const OperatorLookup& lookup = FindOperator);

// A tensor from a file that holds one onnx.TensorProto (the .pb files of ONNX test cases), also
// SequenceProto and OptionalProto where `type` says so. Throws Error{kInvalidArgument}.
Value ReadValueProto(const std::string& path, ValueType::Kind kind = ValueType::Kind::kTensor);

}  // namespace sluice
