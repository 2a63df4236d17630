#include "tools/value_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "tools/elements.h"

namespace sluice::tools {
namespace {

// Floats in the order of integers: neighbours differ by 1, and both zeros are 0.
template <typename Int>
int64_t Ordered(Int bits) {
  return bits >= 0 ? static_cast<int64_t>(bits)
                   : static_cast<int64_t>(std::numeric_limits<Int>::min()) - bits;
}
int64_t Ordered(float value) { return Ordered(std::bit_cast<int32_t>(value)); }
int64_t Ordered(double value) { return Ordered(std::bit_cast<int64_t>(value)); }
int64_t Ordered(Half value) { return Ordered(static_cast<int16_t>(value.bits())); }
int64_t Ordered(BFloat16 value) { return Ordered(static_cast<int16_t>(value.bits())); }

size_t BucketOf(uint64_t distance) {
  size_t bucket = 0;
  while (bucket < ValueErrors::kUlpBounds.size() &&
         distance > static_cast<uint64_t>(ValueErrors::kUlpBounds[bucket])) {
    ++bucket;
  }
  return bucket;
}

}  // namespace

ValueErrors ErrorsOf(const Tensor& got, const Tensor& want) {
  ValueErrors errors;
  errors.count = want.num_elements();
  double dot = 0, got_square = 0, want_square = 0;
  VisitNumbers(want, [&](auto want_values) {
    using T = typename decltype(want_values)::value_type;
    const auto got_values = got.values<T>();
    for (size_t i = 0; i < want_values.size(); ++i) {
      const auto a = static_cast<double>(got_values[i]), b = static_cast<double>(want_values[i]);
      const bool same = a == b || (std::isnan(a) && std::isnan(b));
      if (!std::isfinite(a) && !std::isfinite(b)) ++errors.not_finite;
      double error = same ? 0 : std::abs(a - b);
      if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
      errors.max_abs = std::max(errors.max_abs, error);
      if (!same)
        errors.max_rel =
            std::max(errors.max_rel, std::isinf(error) ? error : error / std::max(std::abs(a), std::abs(b)));
      if (std::isfinite(a) && std::isfinite(b)) dot += a * b, got_square += a * a, want_square += b * b;
      if constexpr (!std::is_integral_v<T>) {
        const bool apart = std::isnan(a) != std::isnan(b);
        const int64_t x = Ordered(got_values[i]), y = Ordered(want_values[i]);
        const uint64_t distance =
            same    ? 0
            : apart ? std::numeric_limits<uint64_t>::max()
                    : static_cast<uint64_t>(std::max(x, y)) - static_cast<uint64_t>(std::min(x, y));
        ++errors.ulps[BucketOf(distance)];
      }
    }
  });
  const double lengths = std::sqrt(got_square) * std::sqrt(want_square);
  if (lengths > 0)
    errors.cosine = dot / lengths;
  else if (got_square != want_square)
    errors.cosine = 0;
  return errors;
}

std::string FormatUlps(const ValueErrors& errors) {
  int64_t total = 0;
  for (int64_t count : errors.ulps) total += count;
  std::string text;
  for (size_t i = 0; i < errors.ulps.size(); ++i) {
    if (errors.ulps[i] == 0) continue;
    const double share = 100.0 * static_cast<double>(errors.ulps[i]) / static_cast<double>(total);
    const std::string bound =
        i < ValueErrors::kUlpBounds.size() ? std::to_string(ValueErrors::kUlpBounds[i]) : "more";
    text += fmt::format("{}{}: {:.3g} %", text.empty() ? "" : ", ", bound, share);
  }
  return text;
}

}  // namespace sluice::tools
