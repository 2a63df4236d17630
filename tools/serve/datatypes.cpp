#include "tools/serve/datatypes.h"

#include <utility>

namespace sluice::serve {
namespace {

constexpr std::pair<DataType, std::string_view> kNames[] = {
    {DataType::kBool, "BOOL"},     {DataType::kUInt8, "UINT8"},   {DataType::kUInt16, "UINT16"},
    {DataType::kUInt32, "UINT32"}, {DataType::kUInt64, "UINT64"}, {DataType::kInt8, "INT8"},
    {DataType::kInt16, "INT16"},   {DataType::kInt32, "INT32"},   {DataType::kInt64, "INT64"},
    {DataType::kFloat16, "FP16"},  {DataType::kBFloat16, "BF16"}, {DataType::kFloat, "FP32"},
    {DataType::kDouble, "FP64"},   {DataType::kString, "BYTES"},
};

}  // namespace

std::optional<std::string_view> DatatypeName(DataType type) {
  for (const auto& [known, name] : kNames)
    if (known == type) return name;
  return std::nullopt;
}

std::optional<DataType> ParseDatatype(std::string_view name) {
  for (const auto& [type, known] : kNames)
    if (known == name) return type;
  return std::nullopt;
}

}  // namespace sluice::serve
