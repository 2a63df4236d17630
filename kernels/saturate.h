#pragma once

#include <limits>
#include <type_traits>

#include "kernels/dispatch.h"

namespace sluice {

// `value` as a T: floats go to integers by truncation, what does not fit becomes the nearest limit and NaN
// 0. To floats: the nearest.
template <typename T, typename From>
T Saturated(From value) {
  static_assert(std::is_floating_point_v<From>);
  if constexpr (std::is_integral_v<T>) {
    if (!(value == value)) return 0;
    // One past the largest: a power of two, exact in From; the smallest is exact too.
    constexpr From kAbove = static_cast<From>(std::numeric_limits<T>::max() / 2 + 1) * From(2);
    if (value >= kAbove) return std::numeric_limits<T>::max();
    if (value <= static_cast<From>(std::numeric_limits<T>::lowest())) return std::numeric_limits<T>::lowest();
    return static_cast<T>(value);
  } else {
    return static_cast<T>(static_cast<ComputeType<T>>(value));
  }
}

}  // namespace sluice
