#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/target.cpp"
#include "kernels/simd/target.h"

// The order matters: the first of these includes this file again for every instruction set.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

const char* NameOfTarget() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {
HWY_EXPORT(NameOfTarget);

std::string SimdTarget() { return HWY_DYNAMIC_DISPATCH(NameOfTarget)(); }

}  // namespace sluice
#endif  // HWY_ONCE
