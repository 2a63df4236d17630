#include "runtime/value_info.h"

namespace sluice {

ValueInfo InfoOf(const GraphValue& value) {
  ValueInfo info;
  info.name = value.name;
  info.dtype = value.type.dtype;
  info.is_sequence = value.type.kind == ValueType::Kind::kSequence;
  info.is_optional = value.type.kind == ValueType::Kind::kOptional;
  info.is_map = value.type.key_type != DataType::kUndefined;
  info.key_type = value.type.key_type;
  info.has_shape = value.type.has_shape;
  for (const Dim& dim : value.type.shape) {
    info.shape.push_back(dim.value());
    info.dim_names.push_back(dim.symbol());
  }
  return info;
}

}  // namespace sluice
