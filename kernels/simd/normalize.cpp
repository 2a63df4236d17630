#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/normalize.cpp"
#include "kernels/simd/normalize.h"

// Before all other headers of Highway.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/contrib/math/math-inl.h>
// clang-format on
#include <hwy/highway.h>

#include "kernels/simd/masked-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using V = hn::Vec<Floats>;

// dst[i] = fn(src[i]), i < n.
template <class Fn>
HWY_INLINE void MapLine(Floats d, const float* src, int64_t n, float* dst, const Fn& fn) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(fn(hn::LoadU(d, src + i)), d, dst + i);
  if (i == n) return;
  const auto mask = hn::FirstN(d, static_cast<size_t>(n - i));
  hn::BlendedStore(fn(LoadFirst(mask, d, src + i)), mask, d, dst + i);
}

// The same for the lanes of every position; Make(j, load) gives the function for the vector of lanes from j
// on, whose parameters `load` reads.
template <class Make>
HWY_INLINE void MapLanes(Floats d, const float* src, int64_t positions, int64_t lanes, int64_t ld, float* dst,
                         const Make& make) {
  const auto width = static_cast<int64_t>(hn::Lanes(d));
  if (lanes == 1 && ld == 1) {
    MapLine(d, src, positions, dst, make(0, [&](const float* p) HWY_ATTR { return hn::Set(d, *p); }));
    return;
  }
  int64_t j = 0;
  for (; j + width <= lanes; j += width) {
    const auto fn = make(j, [&](const float* p) HWY_ATTR { return hn::LoadU(d, p); });
    for (int64_t i = 0; i < positions; ++i)
      hn::StoreU(fn(hn::LoadU(d, src + i * ld + j)), d, dst + i * ld + j);
  }
  if (j == lanes) return;
  const auto mask = hn::FirstN(d, static_cast<size_t>(lanes - j));
  const auto fn = make(j, [&](const float* p) HWY_ATTR { return LoadFirst(mask, d, p); });
  for (int64_t i = 0; i < positions; ++i)
    hn::BlendedStore(fn(LoadFirst(mask, d, src + i * ld + j)), mask, d, dst + i * ld + j);
}

void ScaleLanesOf(const float* src, int64_t positions, int64_t lanes, int64_t ld, const LaneScale& s,
                  float* dst) {
  const Floats d;
  const V slope = hn::Set(d, s.negative);
  const auto keep = hn::Ne(slope, hn::Zero(d));
  const bool plain = s.negative == 1;
  MapLanes(d, src, positions, lanes, ld, dst, [&](int64_t j, const auto& load) HWY_ATTR {
    const V mean = load(s.mean + j), factor = load(s.factor + j), bias = load(s.bias + j);
    return [=](V x) HWY_ATTR {
      const V y = hn::MulAdd(hn::Sub(x, mean), factor, bias);
      if (plain) return y;
      return hn::IfThenElse(hn::Lt(y, hn::Zero(d)), hn::IfThenElseZero(keep, hn::Mul(y, slope)), y);
    };
  });
}

void ScaleRowOf(const float* src, int64_t n, float mean, float factor, const float* scale, const float* bias,
                float* dst) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const V m = hn::Set(d, mean), f = hn::Set(d, factor);
  const auto at = [&](int64_t i, const auto& load) HWY_ATTR {
    V y = hn::Mul(hn::Sub(load(src + i), m), f);
    if (scale != nullptr) y = hn::Mul(y, load(scale + i));
    return bias == nullptr ? y : hn::Add(y, load(bias + i));
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(at(i, [&](const float* p) HWY_ATTR { return hn::LoadU(d, p); }), d, dst + i);
  if (i == n) return;
  const auto mask = hn::FirstN(d, static_cast<size_t>(n - i));
  hn::BlendedStore(at(i, [&](const float* p) HWY_ATTR { return LoadFirst(mask, d, p); }), mask, d,
                   dst + i);
}

void ExpLanesOf(const float* src, int64_t positions, int64_t lanes, int64_t ld, const float* shift,
                float* dst) {
  const Floats d;
  MapLanes(d, src, positions, lanes, ld, dst, [&](int64_t j, const auto& load) HWY_ATTR {
    const V by = load(shift + j);
    return [=](V x) HWY_ATTR { return hn::Exp(d, hn::Sub(x, by)); };
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(ScaleLanesOf);
HWY_EXPORT(ScaleRowOf);
HWY_EXPORT(ExpLanesOf);

void ScaleLanes(const float* src, int64_t positions, int64_t lanes, int64_t ld, const LaneScale& scale,
                float* dst) {
  HWY_DYNAMIC_DISPATCH(ScaleLanesOf)(src, positions, lanes, ld, scale, dst);
}

void ScaleRow(const float* src, int64_t n, float mean, float factor, const float* scale, const float* bias,
              float* dst) {
  HWY_DYNAMIC_DISPATCH(ScaleRowOf)(src, n, mean, factor, scale, bias, dst);
}

void ExpLanes(const float* src, int64_t positions, int64_t lanes, int64_t ld, const float* shift,
              float* dst) {
  HWY_DYNAMIC_DISPATCH(ExpLanesOf)(src, positions, lanes, ld, shift, dst);
}

}  // namespace sluice
#endif
