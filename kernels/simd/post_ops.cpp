#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/post_ops.cpp"
#include "kernels/simd/post_ops.h"

#include <algorithm>

// The order matters: the first of these includes this file again for every instruction set.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
#include "kernels/simd/masked-inl.h"
#include "kernels/simd/post_ops-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// to[i] = values[i], i < n < Lanes(d). Nothing else is written, as BlendedStore may do.
template <class D, class V>
HWY_INLINE void StoreFirst(D d, V values, int64_t n, float* to) {
  HWY_ALIGN float lanes[hn::MaxLanes(D())];
  hn::Store(values, d, lanes);
  for (int64_t i = 0; i < n; ++i) to[i] = lanes[i];
}

void MapOf(const PostOp& op, const float* src, int64_t n, float* dst) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  WithPostOp(d, op, [&](const auto& fn) HWY_ATTR {
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(fn(hn::LoadU(d, src + i)), d, dst + i);
    if (i == n) return;
    const auto mask = hn::FirstN(d, static_cast<size_t>(n - i));
    StoreFirst(d, fn(LoadFirst(mask, d, src + i)), n - i, dst + i);
  });
}

// x[i] = fn(x[i], y[i]), or y[0] if kScalar.
template <bool kScalar, class Fn>
HWY_INLINE void CombineLine(float* x, const float* y, int64_t n, const Fn& fn) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto scalar = hn::Set(d, y[0]);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(fn(hn::LoadU(d, x + i), kScalar ? scalar : hn::LoadU(d, y + i)), d, x + i);
  }
  if (i == n) return;
  const auto mask = hn::FirstN(d, static_cast<size_t>(n - i));
  const auto rest = kScalar ? scalar : LoadFirst(mask, d, y + i);
  StoreFirst(d, fn(LoadFirst(mask, d, x + i), rest), n - i, x + i);
}

template <class Fn>
HWY_INLINE void CombineBy(float* x, const float* y, int64_t period, int64_t n, const Fn& fn) {
  if (period == 1) return CombineLine<true>(x, y, n, fn);
  // One vector of y at a time, along all periods.
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  if (period == n || period % lanes != 0) {
    for (int64_t i = 0; i < n; i += period) CombineLine<false>(x + i, y, period, fn);
    return;
  }
  for (int64_t j = 0; j < period; j += lanes) {
    const auto b = hn::LoadU(d, y + j);
    for (int64_t i = j; i < n; i += period) hn::StoreU(fn(hn::LoadU(d, x + i), b), d, x + i);
  }
}

void CombineOf(PostOp::Kind kind, float* x, const float* y, int64_t period, int64_t n) {
  if (n == 0) return;
  if (kind == PostOp::Kind::kAdd)
    return CombineBy(x, y, period, n, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); });
  if (kind == PostOp::Kind::kMul)
    return CombineBy(x, y, period, n, [](auto a, auto b) HWY_ATTR { return hn::Mul(a, b); });
  CombineBy(x, y, period, n, [](auto a, auto b) HWY_ATTR {
    const hn::DFromV<decltype(a)> d;
    return hn::IfThenElse(hn::Lt(a, hn::Zero(d)), hn::Mul(a, b), a);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {
HWY_EXPORT(MapOf);
HWY_EXPORT(CombineOf);

void MapFloats(const PostOp& op, const float* src, int64_t n, float* dst) {
  HWY_DYNAMIC_DISPATCH(MapOf)(op, src, n, dst);
}

void CombineFloats(PostOp::Kind kind, float* x, const float* y, int64_t period, int64_t n) {
  HWY_DYNAMIC_DISPATCH(CombineOf)(kind, x, y, period, n);
}

}  // namespace sluice
#endif  // HWY_ONCE
