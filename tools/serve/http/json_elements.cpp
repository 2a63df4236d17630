#include "tools/serve/http/json_elements.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>

#include "kernels/half.h"
#include "tools/serve/datatypes.h"
#include "tools/serve/types.h"

namespace sluice::serve {
namespace {

using simdjson::ondemand::value;

// NaN and infinities, which JSON has no numbers for.
std::optional<double> ParseSpecial(value element) {
  std::string_view token = element.raw_json_token();
  while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') token.remove_suffix(1);
  if (token.size() > 2 && token.front() == '"' && token.back() == '"')
    token = token.substr(1, token.size() - 2);
  if (token == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (token == "Infinity") return std::numeric_limits<double>::infinity();
  if (token == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

// Whether the element was one of the type.
bool Take(value element, double& dst) {
  if (element.get(dst) == simdjson::SUCCESS) return true;
  const auto special = ParseSpecial(element);
  if (special) dst = *special;
  return special.has_value();
}
bool Take(value element, float& dst) {
  double wide;
  if (!Take(element, wide)) return false;
  dst = static_cast<float>(wide);
  return std::isfinite(dst) || !std::isfinite(wide);
}
bool Take(value element, Half& dst) {
  float wide;
  if (!Take(element, wide)) return false;
  dst = Half(wide);
  return std::isfinite(static_cast<float>(dst)) || !std::isfinite(wide);
}
bool Take(value element, bool& dst) {
  if (element.get(dst) == simdjson::SUCCESS) return true;
  uint64_t number;
  if (element.get(number) != simdjson::SUCCESS || number > 1) return false;
  dst = number == 1;
  return true;
}
bool Take(value element, uint64_t& dst) { return element.get(dst) == simdjson::SUCCESS; }
bool Take(value element, int64_t& dst) { return element.get(dst) == simdjson::SUCCESS; }
bool Take(value element, std::string& dst) {
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS) return false;
  dst = text;
  return true;
}
template <typename T>
requires(std::is_integral_v<T> && sizeof(T) < 8) bool Take(value element, T& dst) {
  int64_t wide;
  if (element.get(wide) != simdjson::SUCCESS) return false;
  dst = static_cast<T>(wide);
  return wide == static_cast<int64_t>(dst);
}

template <typename T>
class Reader {
 public:
  Reader(std::span<T> dst, std::string_view name, DataType type, int max_depth)
      : dst_(dst), name_(name), type_(type), max_depth_(max_depth) {}

  void Read(simdjson::ondemand::array array, int depth) {
    if (depth > max_depth_)
      throw ServeError(Reason::kInvalid,
                       fmt::format("input '{}': data is nested more than {} deep", name_, max_depth_));
    for (value element : array) {
      simdjson::ondemand::json_type kind;  // none of NaN, which may stand there all the same
      if (element.type().get(kind) == simdjson::SUCCESS && kind == simdjson::ondemand::json_type::array) {
        Read(element.get_array(), depth + 1);
        continue;
      }
      if (next_ == dst_.size()) throw Miscounted("more");
      if (!Take(element, dst_[next_]))
        throw ServeError(Reason::kInvalid, fmt::format("input '{}': element {} of data is not {}", name_,
                                                       next_, DatatypeName(type_).value_or("known")));
      ++next_;
    }
  }
  void Finish() const {
    if (next_ < dst_.size()) throw Miscounted(std::to_string(next_));
  }

 private:
  ServeError Miscounted(const std::string& found) const {
    return ServeError(Reason::kInvalid,
                      fmt::format("input '{}': expected {} elements of data, as shape says, found {}", name_,
                                  dst_.size(), found));
  }

  const std::span<T> dst_;
  const std::string_view name_;
  const DataType type_;
  const int max_depth_;
  size_t next_ = 0;
};

template <typename T>
void ReadAs(simdjson::ondemand::array array, std::string_view name, int max_depth, Tensor& tensor) {
  Reader<T> reader(tensor.mutable_values<T>(), name, tensor.dtype(), max_depth);
  reader.Read(array, 1);
  reader.Finish();
}

}  // namespace

void ReadJsonElements(simdjson::ondemand::array array, std::string_view name, int max_depth, Tensor& tensor) {
  switch (tensor.dtype()) {
    case DataType::kBool:
      return ReadAs<bool>(array, name, max_depth, tensor);
    case DataType::kUInt8:
      return ReadAs<uint8_t>(array, name, max_depth, tensor);
    case DataType::kUInt16:
      return ReadAs<uint16_t>(array, name, max_depth, tensor);
    case DataType::kUInt32:
      return ReadAs<uint32_t>(array, name, max_depth, tensor);
    case DataType::kUInt64:
      return ReadAs<uint64_t>(array, name, max_depth, tensor);
    case DataType::kInt8:
      return ReadAs<int8_t>(array, name, max_depth, tensor);
    case DataType::kInt16:
      return ReadAs<int16_t>(array, name, max_depth, tensor);
    case DataType::kInt32:
      return ReadAs<int32_t>(array, name, max_depth, tensor);
    case DataType::kInt64:
      return ReadAs<int64_t>(array, name, max_depth, tensor);
    case DataType::kFloat16:
      return ReadAs<Half>(array, name, max_depth, tensor);
    case DataType::kFloat:
      return ReadAs<float>(array, name, max_depth, tensor);
    case DataType::kDouble:
      return ReadAs<double>(array, name, max_depth, tensor);
    case DataType::kString:
      return ReadAs<std::string>(array, name, max_depth, tensor);
    default:
      throw ServeError(Reason::kInvalid, fmt::format("input '{}': {} comes as binary data only", name,
                                                     DatatypeName(tensor.dtype()).value_or("its type")));
  }
}

}  // namespace sluice::serve
