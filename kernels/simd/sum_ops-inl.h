// Per-target code, included by sources that foreach_target.h compiles again for each target.
#if defined(SLUICE_KERNELS_SIMD_SUM_OPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_SIMD_SUM_OPS_INL_H_
#undef SLUICE_KERNELS_SIMD_SUM_OPS_INL_H_
#else
#define SLUICE_KERNELS_SIMD_SUM_OPS_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/simd/sum_ops.h"
#include "kernels/simd/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// x with NaN where it is, at half the instructions of a comparison and a choice: on x86 the larger, or
// smaller, of a number and NaN is the second of them.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V ClampSum(D d, V x, V low, V high) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR
  static_cast<void>(d);
  return hn::Min(high, hn::Max(low, x));
#else
  x = hn::IfThenElse(hn::Lt(x, low), low, x);
  return hn::IfThenElse(hn::Lt(high, x), high, x);
#endif
}

// The ops on n sums; operand(i) is where the operand of sum i lies. Loops of their own, since a branch in one
// loop keeps the compiler from holding all sums in registers.
template <int n, class D, class V, class Operand>
HWY_INLINE void ApplySumOps(D d, const SumOps& ops, V (&sums)[n], const Operand& operand) {
  namespace hn = hwy::HWY_NAMESPACE;
  if (ops.operand != nullptr && ops.operand_first) {
    SLUICE_UNROLL
    for (int i = 0; i < n; ++i) sums[i] = hn::Add(sums[i], hn::LoadU(d, operand(i)));
  }
  if (ops.activation == SumOps::Activation::kClamp) {
    const V low = hn::Set(d, ops.low), high = hn::Set(d, ops.high);
    SLUICE_UNROLL
    for (int i = 0; i < n; ++i) sums[i] = ClampSum(d, sums[i], low, high);
  } else if (ops.activation == SumOps::Activation::kLeaky) {
    const V slope = hn::Set(d, ops.slope);
    SLUICE_UNROLL
    for (int i = 0; i < n; ++i) sums[i] = hn::Max(hn::Mul(sums[i], slope), sums[i]);
  }
  if (ops.operand != nullptr && !ops.operand_first) {
    SLUICE_UNROLL
    for (int i = 0; i < n; ++i) sums[i] = hn::Add(sums[i], hn::LoadU(d, operand(i)));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
