#include "tools/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "tools/elements.h"

namespace sluice::tools {
namespace {

bool IsHalf(DataType type) { return type == DataType::kFloat16 || type == DataType::kBFloat16; }

// Compares numbers given as doubles by get_got(i) and get_want(i).
template <typename Got, typename Want>
Comparison CompareFloats(int64_t count, const Got& get_got, const Want& get_want, const Shape& shape, DataType type,
                         const Tolerance& tolerance) {
  const double rtol = tolerance.rtol.value_or(IsHalf(type) && !tolerance.strict ? 1e-2 : 1e-3);
  double atol = tolerance.atol.value_or(1e-7);
  if (!tolerance.atol && !tolerance.strict) {
    double largest = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double magnitude = std::abs(get_want(i));
      if (std::isfinite(magnitude)) largest = std::max(largest, magnitude);
    }
    atol = (IsHalf(type) ? 1e-3 : 1e-4) * largest;
  }
  Comparison result;
  int64_t differ = 0, worst = 0;
  double worst_error = -1;
  for (int64_t i = 0; i < count; ++i) {
    const double got = get_got(i), want = get_want(i);
    if (got == want || (std::isnan(got) && std::isnan(want))) continue;
    double error = std::abs(got - want);
    if (!std::isfinite(error)) error = std::numeric_limits<double>::infinity();
    result.largest_error = std::max(result.largest_error, error);
    if (std::isfinite(error) && error <= atol + rtol * std::abs(want)) continue;
    ++differ;
    if (error > worst_error) worst_error = error, worst = i;
  }
  if (differ > 0) {
    result.equal = false;
    const double want = get_want(worst);
    // Complex numbers count as two values each.
    const int64_t elems = NumElements(shape);
    result.message = fmt::format(
        "{} of {} values differ, the largest error {:.4g} is at {}: got {:.7g}, expected {:.7g} (allowed {:.3g})",
        differ, count, worst_error, ToString(PlaceOf(elems > 0 ? worst / (count / elems) : 0, shape)),
        get_got(worst), want, std::isfinite(want) ? atol + rtol * std::abs(want) : 0);
  }
  return result;
}

template <typename T>
std::string Shown(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) return fmt::format("'{}'", value);
  else return fmt::format("{}", +value);
}

template <typename T>
Comparison CompareExactly(std::span<const T> got, std::span<const T> want, const Shape& shape) {
  Comparison result;
  size_t differ = 0, worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (got[i] == want[i]) continue;
    double error = 1;
    if constexpr (std::is_integral_v<T>) {
      error = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    }
    if (differ++ == 0 || error > result.largest_error) worst = i;
    result.largest_error = std::max(result.largest_error, error);
  }
  if (differ > 0) {
    result.equal = false;
    result.message =
        fmt::format("{} of {} values differ, the largest error {:.4g} is at {}: got {}, expected {}", differ,
                    want.size(), result.largest_error, ToString(PlaceOf(static_cast<int64_t>(worst), shape)),
                    Shown(got[worst]), Shown(want[worst]));
  }
  return result;
}

// FNV-1a.
uint64_t DigestBytes(const void* data, size_t size, uint64_t digest) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) digest = (digest ^ bytes[i]) * 0x100000001b3u;
  return digest;
}

Comparison CompareTensors(const Tensor& got, const Tensor& want, const Tolerance& tolerance) {
  if (got.dtype() != want.dtype() || got.shape() != want.shape()) {
    return {false, 0, fmt::format("got {}, expected {}", DescribeValue(got), DescribeValue(want))};
  }
  const Shape& shape = want.shape();
  const int64_t count = want.num_elements();
  const DataType type = want.dtype();
  if (type == DataType::kString) {
    return CompareExactly(got.values<std::string>(), want.values<std::string>(), shape);
  }
  if (IsNarrow(type)) {
    const std::vector<uint8_t> got_bits = UnpackNarrow(got), want_bits = UnpackNarrow(want);
    return CompareExactly<uint8_t>(got_bits, want_bits, shape);
  }
  if (type == DataType::kComplex64 || type == DataType::kComplex128) {
    const auto get = [type](const Tensor& tensor) {
      return [data = tensor.data(), type](int64_t i) {
        return type == DataType::kComplex64 ? static_cast<double>(static_cast<const float*>(data)[i])
                                            : static_cast<const double*>(data)[i];
      };
    };
    return CompareFloats(2 * count, get(got), get(want), shape, type, tolerance);
  }
  Comparison result;
  VisitNumbers(want, [&](auto want_values) {
    using T = typename decltype(want_values)::value_type;
    const auto got_values = got.values<T>();
    if constexpr (std::is_integral_v<T>) {
      result = CompareExactly<T>(got_values, want_values, shape);
    } else {
      const auto get = [](std::span<const T> values) {
        return [values](int64_t i) { return static_cast<double>(values[static_cast<size_t>(i)]); };
      };
      result = CompareFloats(count, get(got_values), get(want_values), shape, type, tolerance);
    }
  });
  return result;
}

// Of values whose tensors are compared by `tensors`.
template <typename Tensors>
Comparison CompareValues(const Value& got, const Value& want, const Tensors& tensors) {
  if (got.is_tensor() && want.is_tensor()) return tensors(got.tensor(), want.tensor());
  if (got.is_none() && want.is_none()) return {};
  const auto fail = [&] {
    return Comparison{false, 0, fmt::format("got {}, expected {}", DescribeValue(got), DescribeValue(want))};
  };
  if (got.is_map() && want.is_map()) {
    Comparison keys = CompareTensors(got.keys(), want.keys(), {});
    if (!keys.equal) return {false, keys.largest_error, "keys: " + keys.message};
    Comparison values = tensors(got.mapped(), want.mapped());
    if (!values.equal) values.message = "values: " + values.message;
    return values;
  }
  if (!got.is_sequence() || !want.is_sequence() || got.items().size() != want.items().size()) return fail();
  Comparison result;
  for (size_t i = 0; i < want.items().size(); ++i) {
    Comparison item = CompareValues(got.items()[i], want.items()[i], tensors);
    result.largest_error = std::max(result.largest_error, item.largest_error);
    if (item.equal || !result.equal) continue;
    result.equal = false;
    result.message = fmt::format("item {}: {}", i, item.message);
  }
  return result;
}

}  // namespace

Comparison Compare(const Value& got, const Value& want, const Tolerance& tolerance) {
  return CompareValues(
      got, want, [&](const Tensor& a, const Tensor& b) { return CompareTensors(a, b, tolerance); });
}

Comparison CompareKinds(const Value& got, const Value& want) {
  return CompareValues(got, want, [](const Tensor& a, const Tensor& b) {
    if (a.dtype() == b.dtype() && a.shape() == b.shape()) return Comparison();
    return Comparison{false, 0, fmt::format("got {}, expected {}", DescribeValue(a), DescribeValue(b))};
  });
}

uint64_t Digest(const Value& value, uint64_t digest) {
  const std::string type = DescribeValue(value);
  digest = DigestBytes(type.data(), type.size(), digest + 0xcbf29ce484222325u);
  if (value.is_sequence()) {
    for (const Value& item : value.items()) digest = Digest(item, digest);
  }
  if (value.is_map()) return Digest(value.mapped(), Digest(value.keys(), digest));
  if (!value.is_tensor()) return digest;
  const Tensor& tensor = value.tensor();
  if (tensor.dtype() == DataType::kString) {
    for (const std::string& text : tensor.values<std::string>()) {
      digest = DigestBytes(text.c_str(), text.size() + 1, digest);
    }
    return digest;
  }
  return DigestBytes(tensor.data(), static_cast<size_t>(tensor.byte_size()), digest);
}

}  // namespace sluice::tools
