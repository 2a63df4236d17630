#include "runtime/compiled/step_key.h"

namespace sluice {

std::string StepKey(const Node& node, const PrepareContext& ctx) {
  std::string key;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const TensorDesc& desc = ctx.input(static_cast<int>(i));
    if (i > 0) key += ' ';
    if (desc.dtype == DataType::kUndefined) {
      key += '-';
      continue;
    }
    if (ctx.constant(static_cast<int>(i)) != nullptr) key += "constant ";
    key += std::string(DataTypeName(desc.dtype)) + ToString(desc.shape) + LayoutName(desc.layout);
  }
  return key;
}

}  // namespace sluice
