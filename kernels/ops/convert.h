#pragma once

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>

#include "kernels/saturate.h"
#include "sluice/error.h"

// Single elements from one type to another, as Cast states it.

namespace sluice {

// Floats go to integers by truncation; what does not fit takes the nearest limit and NaN is 0.
template <typename To, typename From>
To Convert(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    return Saturated<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

// As printf does with %.*g, but for what is no number.
inline std::string Print(double value, int digits) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-INF" : "INF";
  char text[64];
  const int size = std::snprintf(text, sizeof(text), "%.*g", digits, value);
  return std::string(text, static_cast<size_t>(size));
}

// The shortest text that reads as the same number.
template <typename T>
std::string ToText(T value) {
  if constexpr (std::is_same_v<T, bool>)
    return value ? "1" : "0";
  else if constexpr (std::is_integral_v<T>)
    return std::to_string(value);
  else if constexpr (std::is_same_v<T, double> || std::is_same_v<T, float>) {
    if (!std::isfinite(value)) return Print(static_cast<double>(value), 1);
    char text[64];
    const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
    return std::string(text, end);
  } else {
    return Print(static_cast<double>(static_cast<float>(value)), 8);
  }
}

// Text as the standard allows it: plain and scientific numbers, NaN and INF with a sign in any case.
inline double ParseNumber(const std::string& text) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  while (begin < end && (*begin == ' ' || *begin == '\t')) ++begin;
  while (end > begin && (end[-1] == ' ' || end[-1] == '\t')) --end;
  if (begin < end && *begin == '+') ++begin;
  double value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (begin == end || stop != end || error == std::errc::invalid_argument) {
    throw Error(ErrorCode::kInvalidArgument, "'" + text.substr(0, 40) + "' is no number");
  }
  // Past the range: zero or infinity as strtod gives it.
  if (error == std::errc::result_out_of_range) return std::strtod(std::string(begin, end).c_str(), nullptr);
  return value;
}

// The number that a text states. Throws Error{kInvalidArgument} where it states none.
template <typename T>
T FromText(const std::string& text) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    T value = 0;
    const char* begin = text.data() + (text.starts_with("+") ? 1 : 0);
    const auto [stop, error] = std::from_chars(begin, text.data() + text.size(), value);
    if (error == std::errc() && stop == text.data() + text.size()) return value;
  }
  return Convert<T>(ParseNumber(text));
}

}  // namespace sluice
