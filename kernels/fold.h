#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/dispatch.h"
#include "kernels/saturate.h"

// Folding: many elements become one. What the reductions have in common.

namespace sluice {

// kSumExp, kSumOffset and kSumDeviation, sums of exp(x - shift), of x - shift and of (x - shift)^2, take a
// shift for each result.
enum class Fold { kSum, kSumAbs, kSumSquare, kSumExp, kSumOffset, kSumDeviation, kMax, kMin, kProduct };

constexpr bool HasShift(Fold fold) {
  return fold == Fold::kSumExp || fold == Fold::kSumOffset || fold == Fold::kSumDeviation;
}

// count results, result j from the `length` elements src[j * count_step + i * length_step].
struct FoldBox {
  int64_t count, count_step;
  int64_t length, length_step;
};

// In which the elements of T are folded: double for floats and where there is a shift, otherwise 64-bit
// integers, whose sums and products wrap around.
template <Fold kFold, typename T>
using FoldType =
    std::conditional_t<HasShift(kFold) || std::is_same_v<T, double> || std::is_same_v<ComputeType<T>, float>,
                       double, std::conditional_t<std::is_unsigned_v<T>, uint64_t, int64_t>>;

template <typename Acc>
Acc WrappingAdd(Acc a, Acc b) {
  if constexpr (std::is_same_v<Acc, int64_t>)
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}
template <typename Acc>
Acc WrappingMultiply(Acc a, Acc b) {
  if constexpr (std::is_same_v<Acc, int64_t>)
    return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else
    return a * b;
}

// The result of folding nothing: the neutral element, for kMax and kMin the end of T's range.
template <Fold kFold, typename T>
FoldType<kFold, T> FoldStart() {
  using Acc = FoldType<kFold, T>;
  constexpr bool kReal = std::is_same_v<Acc, double>;
  constexpr Acc kInf = std::numeric_limits<Acc>::infinity();
  if constexpr (kFold == Fold::kMax)
    return kReal ? -kInf : static_cast<Acc>(std::numeric_limits<T>::lowest());
  if constexpr (kFold == Fold::kMin) return kReal ? kInf : static_cast<Acc>(std::numeric_limits<T>::max());
  return kFold == Fold::kProduct ? Acc{1} : Acc{0};
}

// acc and one more element. NaN wins over numbers.
template <Fold kFold, typename Acc>
Acc FoldIn(Acc acc, Acc x, [[maybe_unused]] Acc shift) {
  if constexpr (kFold == Fold::kSum) return WrappingAdd(acc, x);
  if constexpr (kFold == Fold::kSumAbs)
    return WrappingAdd(acc, x < Acc{0} ? WrappingMultiply(x, Acc(-1)) : x);
  if constexpr (kFold == Fold::kSumSquare) return WrappingAdd(acc, WrappingMultiply(x, x));
  if constexpr (kFold == Fold::kSumExp) return acc + std::exp(x - shift);
  if constexpr (kFold == Fold::kSumOffset) return acc + (x - shift);
  if constexpr (kFold == Fold::kSumDeviation) return acc + (x - shift) * (x - shift);
  if constexpr (kFold == Fold::kMax) return acc > x || acc != acc ? acc : x;
  if constexpr (kFold == Fold::kMin) return acc < x || acc != acc ? acc : x;
  if constexpr (kFold == Fold::kProduct) return WrappingMultiply(acc, x);
}

// A folded value as an element: integers keep their low bits.
template <typename T, typename Acc>
T Narrow(Acc value) {
  if constexpr (std::is_same_v<Acc, double>)
    return Saturated<T>(value);
  else
    return static_cast<T>(value);
}

// Folds a box into acc[0, box.count). shift is null unless HasShift(kFold).
template <Fold kFold, typename T>
void FoldInto(const T* src, const FoldBox& box, const FoldType<kFold, T>* shift, FoldType<kFold, T>* acc) {
  using Acc = FoldType<kFold, T>;
  const auto at = [&](int64_t j, int64_t i) {
    return static_cast<Acc>(src[j * box.count_step + i * box.length_step]);
  };
  const auto shift_of = [&](int64_t j) { return HasShift(kFold) ? shift[j] : Acc{0}; };
  if (box.count_step == 1) {
    for (int64_t i = 0; i < box.length; ++i) {
      for (int64_t j = 0; j < box.count; ++j) acc[j] = FoldIn<kFold>(acc[j], at(j, i), shift_of(j));
    }
  } else {
    for (int64_t j = 0; j < box.count; ++j) {
      for (int64_t i = 0; i < box.length; ++i) acc[j] = FoldIn<kFold>(acc[j], at(j, i), shift_of(j));
    }
  }
}

}  // namespace sluice
