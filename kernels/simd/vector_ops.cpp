#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/vector_ops.cpp"
#include "kernels/simd/vector_ops.h"

// Before all other headers of Highway.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on
#include "kernels/simd/masked-inl.h"
#include "kernels/simd/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

void Apply(const VectorOp& op, const float* src, int64_t n, float* dst) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  WithVectorOp(d, op, [&](const auto& fn) HWY_ATTR {
    const auto none = hn::Zero(d);
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(fn(hn::LoadU(d, src + i), none), d, dst + i);
    if (i == n) return;
    const auto mask = hn::FirstN(d, static_cast<size_t>(n - i));
    hn::BlendedStore(fn(LoadFirst(mask, d, src + i), none), mask, d, dst + i);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(Apply);

void ApplyVectorOp(const VectorOp& op, const float* src, int64_t n, float* dst) {
  HWY_DYNAMIC_DISPATCH(Apply)(op, src, n, dst);
}

}  // namespace sluice
#endif  // HWY_ONCE
