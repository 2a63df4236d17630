#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/fold.h"
#include "kernels/simd/fold.h"

namespace sluice {

// FoldInto, vectorised where the elements are floats that lie side by side.
template <Fold kFold, typename T>
void FoldBoxInto(const T* src, const FoldBox& box, const FoldType<kFold, T>* shift, FoldType<kFold, T>* acc) {
  if constexpr (std::is_same_v<T, float> && kFold != Fold::kProduct) {
    if (box.count_step == 1 || box.length_step == 1) return FoldFloatsInto(kFold, src, box, shift, acc);
  }
  FoldInto<kFold>(src, box, shift, acc);
}

constexpr int64_t kMaxMoments = 256;

// Mean and variance of each of box.count <= kMaxMoments results, in two passes with sums in double.
// for_each(fn) calls fn(src) for every box that is folded into them, at least one; together they have
// `length` > 0 elements a result.
template <typename T, typename ForEach>
void MomentsOf(const FoldBox& box, int64_t length, const ForEach& for_each, double* mean, double* variance) {
  const auto share = 1 / static_cast<double>(length);
  // Offsets from some element are small where the elements are far from zero and close together.
  double shift[kMaxMoments] = {};
  bool first = true;
  std::fill_n(mean, box.count, 0.0);
  for_each([&](const T* src) {
    for (int64_t j = 0; first && j < box.count; ++j) shift[j] = static_cast<double>(src[j * box.count_step]);
    first = false;
    FoldBoxInto<Fold::kSumOffset>(src, box, shift, mean);
  });
  for (int64_t j = 0; j < box.count; ++j) {
    mean[j] = shift[j] + mean[j] * share;
    // As the elements' arithmetic has it.
    shift[j] = static_cast<double>(static_cast<ComputeType<T>>(mean[j]));
  }
  std::fill_n(variance, box.count, 0.0);
  for_each([&](const T* src) { FoldBoxInto<Fold::kSumDeviation>(src, box, shift, variance); });
  for (int64_t j = 0; j < box.count; ++j) {
    const double off = mean[j] - shift[j], value = variance[j] * share - off * off;
    variance[j] = value < 0 ? 0 : value;  // NaN stays
  }
}

// Of one box.
template <typename T>
void MomentsOf(const T* src, const FoldBox& box, double* mean, double* variance) {
  MomentsOf<T>(
      box, box.length, [src](const auto& fn) { fn(src); }, mean, variance);
}

}  // namespace sluice
