// Per-target code, included by sources that foreach_target.h compiles again for each target.
#if defined(SLUICE_KERNELS_SIMD_MASKED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_SIMD_MASKED_INL_H_
#undef SLUICE_KERNELS_SIMD_MASKED_INL_H_
#else
#define SLUICE_KERNELS_SIMD_MASKED_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// The elements at p for which `mask`, made by FirstN, is true; zeros in the other lanes. p need not be aligned, and nothing
// beyond those elements is read: Highway's own MaskedLoad promises neither on targets without masked instructions.
template <class D, class M>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LoadFirst(M mask, D d, const hwy::HWY_NAMESPACE::TFromD<D>* p) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN hn::TFromD<D> lanes[hn::MaxLanes(D())] = {};
  const size_t count = hn::CountTrue(d, mask);
  for (size_t i = 0; i < count; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
#else
  return hn::MaskedLoad(mask, d, p);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
