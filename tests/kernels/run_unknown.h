#pragma once

#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "tests/kernels/op_test_util.h"

namespace sluice::test {

// Runs a candidate as a plan does whose inputs come with the run: Prepare sees no elements. Row-major kernels
// only. `like` has tensors of the outputs' types and shapes (none: nobody wants that output).
inline std::vector<Value> RunUnknown(size_t candidate, const Node& node, const std::vector<Value>& inputs,
                                     const std::vector<Value>& like) {
  std::vector<TensorDesc> in_descs, out_descs;
  std::vector<const void*> in;
  std::vector<void*> out;
  std::vector<Value> results;
  for (const Value& value : inputs) {
    in_descs.push_back(value.is_none() ? TensorDesc()
                                       : TensorDesc{value.tensor().dtype(), value.tensor().shape()});
    in.push_back(value.is_none() ? nullptr : value.tensor().data());
  }
  for (const Value& value : like) {
    out_descs.push_back(value.is_none() ? TensorDesc()
                                        : TensorDesc{value.tensor().dtype(), value.tensor().shape()});
    results.push_back(value.is_none() ? Value()
                                      : Value(Tensor(value.tensor().dtype(), value.tensor().shape())));
    out.push_back(value.is_none() ? nullptr : results.back().tensor().mutable_data());
  }
  const std::unique_ptr<Kernel> kernel = node.op->kernels.at(candidate)();
  PrepareContext ctx(node, in_descs, std::vector<const Tensor*>(inputs.size(), nullptr), out_descs,
                     std::vector<bool>(like.size(), true), {});
  kernel->Prepare(ctx);
  ForEachTile(kernel->tiles(), [&](int64_t tile) {
    const Scratch scratch(ctx.request().scratch_bytes);
    kernel->Run(RunContext(in, out, scratch.data(), nullptr), tile);
  });
  return results;
}

}  // namespace sluice::test
