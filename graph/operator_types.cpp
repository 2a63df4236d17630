#include "graph/operator_types.h"

#include <set>
#include <string>

#include "sluice/error.h"

namespace sluice {
namespace {

bool IsUnsigned(DataType type) {
  return type == DataType::kUInt8 || type == DataType::kUInt16 || type == DataType::kUInt32 ||
         type == DataType::kUInt64;
}
bool IsInteger(DataType type) {
  return IsUnsigned(type) || type == DataType::kInt8 || type == DataType::kInt16 ||
         type == DataType::kInt32 || type == DataType::kInt64;
}
bool IsNumber(DataType type) {
  return IsInteger(type) || type == DataType::kFloat || type == DataType::kDouble ||
         type == DataType::kFloat16 || type == DataType::kBFloat16;
}

bool Means(std::string_view word, DataType type) {
  if (word == "any") return true;
  if (word == "all") return DataTypeBits(type) >= 8;
  if (word == "T") return IsNumber(type);
  if (word == "integers") return IsInteger(type);
  if (word == "unsigned integers") return IsUnsigned(type);
  if (word == "float8") return DataTypeName(type).starts_with("float8");
  if (word == "float4") return type == DataType::kFloat4E2M1;
  return word == DataTypeName(type);
}

}  // namespace

std::vector<DataType> ParseTypes(std::string_view types) {
  std::set<DataType> found;
  while (!types.empty()) {
    const size_t comma = types.find(", ");
    const std::string_view word = types.substr(0, comma);
    bool known = false;
    for (int i = 1; i <= static_cast<int>(DataType::kInt2); ++i) {
      if (!Means(word, static_cast<DataType>(i))) continue;
      known = true;
      found.insert(static_cast<DataType>(i));
    }
    if (!known) throw Error(ErrorCode::kInternal, "no element type is called '" + std::string(word) + "'");
    types = comma == std::string_view::npos ? "" : types.substr(comma + 2);
  }
  return {found.begin(), found.end()};
}

}  // namespace sluice
