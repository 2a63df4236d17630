// Per-target code, included by sources that foreach_target.h compiles again for each target.
#if defined(SLUICE_KERNELS_SIMD_FOLD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_SIMD_FOLD_INL_H_
#undef SLUICE_KERNELS_SIMD_FOLD_INL_H_
#else
#define SLUICE_KERNELS_SIMD_FOLD_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "kernels/fold.h"
#include "kernels/simd/masked-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using V = hn::Vec<Floats>;

template <Fold kFold>
HWY_INLINE V Start(Floats d) {
  return hn::Set(d, static_cast<float>(FoldStart<kFold, float>()));
}

// FoldIn, lane by lane.
template <Fold kFold>
HWY_INLINE V Step(Floats d, V acc, V x, V shift) {
  if constexpr (kFold == Fold::kSum) return hn::Add(acc, x);
  if constexpr (kFold == Fold::kSumAbs) return hn::Add(acc, hn::Abs(x));
  if constexpr (kFold == Fold::kSumSquare) return hn::MulAdd(x, x, acc);
  if constexpr (kFold == Fold::kSumExp) return hn::Add(acc, hn::Exp(d, hn::Sub(x, shift)));
  if constexpr (kFold == Fold::kSumOffset) return hn::Add(acc, hn::Sub(x, shift));
  if constexpr (kFold == Fold::kSumDeviation) {
    const V deviation = hn::Sub(x, shift);
    return hn::MulAdd(deviation, deviation, acc);
  }
  // With a NaN the second argument of Max and Min is the result on some processors.
  if constexpr (kFold == Fold::kMax) return hn::IfThenElse(hn::Eq(x, x), hn::Max(x, acc), x);
  if constexpr (kFold == Fold::kMin) return hn::IfThenElse(hn::Eq(x, x), hn::Min(x, acc), x);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
