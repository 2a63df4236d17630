#include "tools/elements.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace sluice::tools {

bool IsNarrow(DataType type) {
  return type >= DataType::kFloat8E4M3FN && type <= DataType::kInt2;
}

std::vector<uint8_t> UnpackNarrow(const Tensor& tensor) {
  const int bits = DataTypeBits(tensor.dtype());
  const bool is_signed = tensor.dtype() == DataType::kInt4 || tensor.dtype() == DataType::kInt2;
  const auto* src = static_cast<const uint8_t*>(tensor.data());
  std::vector<uint8_t> bytes(static_cast<size_t>(tensor.num_elements()));
  const int per_byte = 8 / bits, mask = (1 << bits) - 1, sign = 1 << (bits - 1);
  for (size_t i = 0; i < bytes.size(); ++i) {
    int value = (src[i / per_byte] >> (bits * static_cast<int>(i % per_byte))) & mask;
    if (is_signed && (value & sign)) value |= ~mask;
    bytes[i] = static_cast<uint8_t>(value);
  }
  return bytes;
}

Tensor PackNarrow(DataType type, const Shape& shape, std::vector<uint8_t> bytes) {
  CheckElementCount(shape, bytes.size());
  Tensor tensor(type, shape);
  const int bits = DataTypeBits(type), per_byte = 8 / bits, mask = (1 << bits) - 1;
  auto* dst = static_cast<uint8_t*>(tensor.mutable_data());
  std::fill(dst, dst + tensor.byte_size(), uint8_t{0});
  for (size_t i = 0; i < bytes.size(); ++i) {
    dst[i / per_byte] |= static_cast<uint8_t>((bytes[i] & mask) << (bits * static_cast<int>(i % per_byte)));
  }
  return tensor;
}

Shape PlaceOf(int64_t index, const Shape& shape) {
  Shape place(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return place;
    place[i] = index % shape[i];
    index /= shape[i];
  }
  return place;
}

std::string DescribeValue(const Value& value) {
  if (value.is_none()) return "none";
  if (value.is_map()) {
    return fmt::format("map of {} ({} to {})", value.keys().num_elements(), DataTypeName(value.keys().dtype()),
                       DataTypeName(value.element_type()));
  }
  if (value.is_sequence()) {
    return fmt::format("sequence of {} ({})", value.items().size(), DataTypeName(value.element_type()));
  }
  return fmt::format("{} {}", DataTypeName(value.tensor().dtype()), ToString(value.tensor().shape()));
}

Summary Summarize(const Tensor& tensor) {
  Summary result;
  VisitNumbers(tensor, [&](auto values) {
    double sum = 0;
    int64_t count = 0;
    for (const auto element : values) {
      const double value = static_cast<double>(element);
      if (std::isnan(value)) {
        ++result.nans;
        continue;
      }
      result.min = count == 0 ? value : std::min(result.min, value);
      result.max = count == 0 ? value : std::max(result.max, value);
      sum += value;
      ++count;
    }
    result.known = count > 0;
    if (count > 0) result.mean = sum / static_cast<double>(count);
  });
  return result;
}

double Percentile(const std::vector<double>& sorted, double p) {
  if (sorted.empty()) return 0;
  const double place = p * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double part = place - static_cast<double>(below);
  return sorted[below] * (1 - part) + sorted[below + 1] * part;
}

}  // namespace sluice::tools
