#pragma once

#include <string_view>
#include <vector>

#include "graph/builder.h"

namespace sluice {

// One step back over a node: from the derivatives of its outputs to those of its inputs.
class StepBack {
 public:
  // grads[k] is the derivative of y by output k of `node`, kNone where it is 0. inputs and outputs are the
  // values to compute with, in the places of the node's own.
  StepBack(GraphBuilder& builder, const Node& of_node, std::vector<ValueId> with_inputs,
           std::vector<ValueId> with_outputs, std::vector<ValueId> of_outputs)
      : build(builder),
        node(of_node),
        inputs(std::move(with_inputs)),
        outputs(std::move(with_outputs)),
        grads(std::move(of_outputs)),
        results(node.inputs.size(), ValueId::kNone) {}

  GraphBuilder& build;
  const Node& node;
  const std::vector<ValueId> inputs, outputs, grads;
  std::vector<ValueId> results;  // for each input; kNone is 0

  ValueId x(size_t i = 0) const { return inputs[i]; }
  ValueId y() const { return outputs[0]; }
  ValueId g() const { return grads[0]; }
  bool has_input(size_t i) const { return i < inputs.size() && inputs[i] != ValueId::kNone; }
  // The number in the element type of `like`.
  ValueId Number(float value, ValueId like) const;
  // `grad` summed over what broadcasting has repeated of `x`.
  ValueId SumTo(ValueId grad, ValueId x) const;
  // The matrices in the last two axes turned around.
  ValueId Turned(ValueId matrices) const;
};

// Null for operators without a rule; their derivatives are not 0.
using GradientRule = void (*)(StepBack&);
GradientRule FindGradientRule(std::string_view op_type);
// Whether small changes of the inputs leave the outputs as they are, almost everywhere.
bool IsLocallyConstant(std::string_view op_type);

}  // namespace sluice
