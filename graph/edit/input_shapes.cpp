#include <algorithm>

#include "graph/edit/edits.h"
#include "sluice/error.h"

namespace sluice {
namespace {

void ForgetComputedTypes(Graph& graph) {
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (graph.value(id).producer != NodeId::kNone) graph.value(id).type.has_shape = false;
  }
}

}  // namespace

void SetInputShapes(Graph& graph, const std::map<std::string, Shape>& shapes) {
  for (const auto& [name, shape] : shapes) {
    const auto input = std::find_if(graph.inputs.begin(), graph.inputs.end(),
                                    [&, &name = name](ValueId id) { return graph.value(id).name == name; });
    if (input == graph.inputs.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "shape given for input '" + name + "', which the model does not have");
    }
    ValueType& type = graph.value(*input).type;
    type.has_shape = true;
    type.shape.clear();
    for (int64_t size : shape) type.shape.push_back(size < 0 ? Dim() : Dim(size));
  }
  if (!shapes.empty()) ForgetComputedTypes(graph);
}

}  // namespace sluice
