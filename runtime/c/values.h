#pragma once

#include <span>
#include <vector>

#include "runtime/c/status.h"
#include "sluice/session.h"

namespace sluice::c {

// The values of one run, one for each input and output of the model; kept for later runs, which then allocate
// nothing for tensors of the same ranks.
struct Call {
  std::vector<Value> inputs;
  std::vector<Value> outputs;
};

// Views of the program's tensors; strings are copied. Throws Error{kInvalidArgument} that names the value.
void TakeInputs(const Array<const sluice_tensor>& tensors, const std::vector<ValueInfo>& infos, Call& call);
// The memory that the program gives for outputs.
void TakeOutputs(const Array<sluice_tensor>& tensors, const std::vector<ValueInfo>& infos, Call& call);
// Tells the program what came out; changes nothing if it throws.
void GiveOutputs(Call& call, const Array<sluice_tensor>& tensors, const std::vector<ValueInfo>& infos);

// Type, rank and shape of a program's tensor, checked; `what` names it in errors.
DataType CheckedType(sluice_type type, const std::string& what);
std::span<const int64_t> CheckedShape(const sluice_tensor& tensor, const std::string& what);

// A tensor that a custom operator sees.
sluice_tensor Describe(DataType type, std::span<const int64_t> shape, const void* data);

}  // namespace sluice::c
