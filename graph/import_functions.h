#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
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
  // Throws Error{kInvalidModel} for functions that call themselves, calls nested too deeply and functions that are
  // there twice.
  explicit FunctionInliner(const sluice_onnx::ModelProto& model);

  // The nodes of a graph with all calls replaced by the functions' nodes, values renamed so that they
  // are unique. Calls in nested graphs are left to their own Expand. Throws Error{kInvalidModel} where a million
  // nodes or a gibibyte of copies are exceeded.
  std::vector<SourceNode> Expand(const google::protobuf::RepeatedPtrField<sluice_onnx::NodeProto>& nodes,
                                 const std::shared_ptr<const OpsetMap>& opsets);

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // domain, name, overload
  struct Function {
    const sluice_onnx::FunctionProto* proto;
    std::shared_ptr<const OpsetMap> opsets;
    bool checking = false;
    int depth = 0;  // of the calls in it, itself included; 0 before that is known
  };

  static Key KeyOf(const sluice_onnx::NodeProto& node);
  int CallDepth(Function& function, int callers);
  void ExpandNode(SourceNode node, std::vector<SourceNode>& out);

  std::map<Key, Function> functions_;
  int64_t calls_ = 0;
  int64_t nodes_ = 0;
  int64_t copied_bytes_ = 0;
};

}  // namespace sluice
