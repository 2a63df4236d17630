#pragma once

#include <string>
#include <vector>

#include "sluice/session.h"

namespace sluice {

// Throws Error{kInvalidArgument} unless `value` is what the model's input takes.
void CheckInput(const ValueInfo& info, const Value& value);

// Whether kernels may read the elements where they are.
bool IsAligned(const Tensor& tensor);

// Throws Error{kInvalidArgument} where the memory of outputs overlaps that of inputs or of one another. Null
// outputs are skipped.
void CheckNoOverlap(std::span<const Value* const> inputs, std::span<Value* const> outputs,
                    const std::vector<ValueInfo>& input_infos, const std::vector<ValueInfo>& output_infos);

// The place of `name` in `known`; throws Error{kInvalidArgument} naming `what` ("input") and what there is.
size_t IndexOf(const std::vector<ValueInfo>& known, const std::string& what, const std::string& name);

}  // namespace sluice
