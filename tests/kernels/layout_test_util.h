#pragma once

#include "kernels/reorder.h"
#include "kernels/scratch.h"
#include "tests/kernels/op_test_util.h"

namespace sluice::test {

inline Tensor Reordered(const TensorDesc& from, const void* data, const TensorDesc& to) {
  Tensor result(DataType::kFloat, {to.byte_size() / 4});
  for (int64_t tile = 0; tile < ReorderTiles(from, to); ++tile)
    RunReorder(from, data, to, result.mutable_data(), tile);
  return result;
}

// Runs the case with all float inputs of rank 4 in `layout`; checks which layout the kernel chose for its
// output.
inline void ExpectSameInLayout(const OpCase& c, Layout layout, Layout expected_output) {
  SCOPED_TRACE(std::string(c.op) + " in " + LayoutName(layout));
  const std::vector<Value> want = RunOp(c);
  const Node node = MakeNode(c);
  std::vector<TensorDesc> inputs, outputs;
  std::vector<const Tensor*> constants;
  for (const Value& value : c.inputs) {
    const bool moved =
        value.is_tensor() && value.tensor().dtype() == DataType::kFloat && value.tensor().rank() == 4;
    inputs.push_back(value.is_tensor() ? TensorDesc{value.tensor().dtype(), value.tensor().shape(),
                                                    moved ? layout : Layout::kPlain}
                                       : TensorDesc());
    constants.push_back(value.is_tensor() && !moved ? &value.tensor() : nullptr);
  }
  for (const Value& value : want) outputs.push_back({value.tensor().dtype(), value.tensor().shape()});
  PreparedStep step = PrepareKernel(node, [&] {
    return PrepareContext(node, inputs, constants, outputs, std::vector<bool>(outputs.size(), true), {});
  });
  std::vector<Tensor> in_tensors, out_tensors;
  std::vector<const void*> in;
  std::vector<void*> out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    in.push_back(nullptr);
    if (!c.inputs[i].is_tensor()) continue;
    TensorDesc wanted = inputs[i];
    wanted.layout = step.request.input_layouts[i];
    const TensorDesc plain{inputs[i].dtype, inputs[i].shape};
    in_tensors.push_back(wanted.layout == Layout::kPlain
                             ? c.inputs[i].tensor()
                             : Reordered(plain, c.inputs[i].tensor().data(), wanted));
    in.back() = in_tensors.back().data();
  }
  for (const TensorDesc& desc : step.outputs) {
    EXPECT_EQ(desc.layout, expected_output);
    out_tensors.emplace_back(DataType::kFloat, Shape{desc.byte_size() / 4});
    out.push_back(out_tensors.back().mutable_data());
  }
  for (int64_t tile = 0; tile < step.kernel->tiles(); ++tile) {
    const Scratch scratch(step.request.scratch_bytes);
    step.kernel->Run(RunContext(in, out, scratch.data(), nullptr), tile);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor plain = step.outputs[i].layout == Layout::kPlain
                             ? out_tensors[i]
                             : Reordered(step.outputs[i], out[i], outputs[i]);
    ExpectTensor(plain.Reshaped(outputs[i].shape), want[i].tensor());
    // Padding is zero.
    if (step.outputs[i].layout != Layout::kPlain)
      ExpectTensor(out_tensors[i], Reordered(outputs[i], plain.data(), step.outputs[i]));
  }
}

}  // namespace sluice::test
