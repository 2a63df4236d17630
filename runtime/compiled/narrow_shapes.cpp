#include "runtime/compiled/narrow_shapes.h"

#include <algorithm>

#include "graph/edit/edits.h"
#include "graph/infer.h"
#include "sluice/error.h"

namespace sluice {

void NarrowInputShapes(Graph& graph, const std::map<std::string, Shape>& shapes) {
  std::map<std::string, Shape> narrower;
  for (ValueId id : graph.inputs) {
    const auto given = shapes.find(graph.value(id).name);
    if (given == shapes.end()) continue;
    const ValueType& type = graph.value(id).type;
    const auto refuse = [&] {
      throw Error(ErrorCode::kUnsupported, "the compiled model takes input '" + given->first + "' as " +
                                               ToString(type) + ", not " + ToString(given->second) +
                                               "; compile it with that shape");
    };
    if (type.kind != ValueType::Kind::kTensor) refuse();
    if (type.has_shape && type.shape.size() != given->second.size()) refuse();
    Shape shape = given->second;
    bool narrows = !type.has_shape;
    for (size_t i = 0; i < type.shape.size(); ++i) {
      const Dim& dim = type.shape[i];
      if (dim.known() && shape[i] >= 0 && dim.value() != shape[i]) refuse();
      narrows |= !dim.known() && shape[i] >= 0;
      if (dim.known()) shape[i] = dim.value();
    }
    if (narrows) narrower[given->first] = std::move(shape);
  }
  for (const auto& [name, shape] : shapes) {
    if (std::none_of(graph.inputs.begin(), graph.inputs.end(),
                     [&, &name = name](ValueId id) { return graph.value(id).name == name; }))
      throw Error(ErrorCode::kInvalidArgument,
                  "shape given for input '" + name + "', which the model does not have");
  }
  if (narrower.empty()) return;
  SetInputShapes(graph, narrower);
  InferShapes(graph);
}

}  // namespace sluice
