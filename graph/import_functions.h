#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sluice_onnx.pb.h"

namespace sluice {

using OpsetMap = std::map<std::string, int64_t>;  // domain, "" for ai.onnx -> version

OpsetMap ReadOpsets(const google::protobuf::RepeatedPtrField<sluice_onnx::OperatorSetIdProto>& imports);

// A node as it will be imported, and the operator sets that say what it means.
struct SourceNode {
  const sluice_onnx::NodeProto* proto;
  std::shared_ptr<const OpsetMap> opsets;
  std::unique_ptr<const sluice_onnx::NodeProto> owned;  // set if it came out of a function
};

// Model-local functions, written out where they are called.
class FunctionInliner {
 public:
  explicit FunctionInliner(const sluice_onnx::ModelProto& model);

  // The nodes of a graph with all calls replaced by the functions' nodes, values renamed so that they
  // are unique. Throws Error{kInvalidModel} for recursion and where a million nodes are exceeded.
  std::vector<SourceNode> Expand(const google::protobuf::RepeatedPtrField<sluice_onnx::NodeProto>& nodes,
                                 const std::shared_ptr<const OpsetMap>& opsets);

 private:
  struct Function {
    const sluice_onnx::FunctionProto* proto;
    std::shared_ptr<const OpsetMap> opsets;
  };

  void ExpandNode(SourceNode node, int depth, std::vector<SourceNode>& out);

  std::map<std::pair<std::string, std::string>, Function> functions_;
  int64_t calls_ = 0;
  int64_t nodes_ = 0;
};

}  // namespace sluice
