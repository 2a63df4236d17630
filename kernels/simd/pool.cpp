#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/pool.cpp"
#include "kernels/simd/pool.h"

// Before all other headers of Highway.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// clang-format on
#include "kernels/simd/fold-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// From the folded elements of one window.
HWY_INLINE V FinishPool(const PoolRow& row, V acc, V counted) {
  if (row.root) acc = hn::Sqrt(acc);
  return row.counted == 0 ? acc : hn::Div(acc, counted);
}

HWY_INLINE float DivisorOf(const PoolRow& row, int64_t x) {
  return static_cast<float>(row.counted * row.taps[x].counted);
}

// kVectors vectors of lanes of window x, from lane `l` on; Load(p) reads one.
template <Fold kFold, int kVectors, class Load, class Store>
HWY_INLINE void PoolWindow(Floats d, const float* src, const PoolRow& row, int64_t x, int64_t l,
                           const Load& load, const Store& store) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const PoolTaps taps = row.taps[x];
  const int64_t tap_step = row.dilation * row.lanes;
  const float* first = src + (x * row.stride - row.pad + taps.begin * row.dilation) * row.lanes + l;
  V acc0 = Start<kFold>(d), acc1 = acc0, acc2 = acc0, acc3 = acc0;
  for (int64_t r = 0; r < row.num_rows; ++r) {
    const float* p = first + row.rows[r];
    for (int64_t k = taps.begin; k < taps.end; ++k, p += tap_step) {
      acc0 = Step<kFold>(d, acc0, load(p), acc0);
      if constexpr (kVectors > 1) acc1 = Step<kFold>(d, acc1, load(p + lanes), acc1);
      if constexpr (kVectors > 2) {
        acc2 = Step<kFold>(d, acc2, load(p + 2 * lanes), acc2);
        acc3 = Step<kFold>(d, acc3, load(p + 3 * lanes), acc3);
      }
    }
  }
  const V counted = hn::Set(d, DivisorOf(row, x));
  store(0, FinishPool(row, acc0, counted));
  if constexpr (kVectors > 1) store(lanes, FinishPool(row, acc1, counted));
  if constexpr (kVectors > 2) {
    store(2 * lanes, FinishPool(row, acc2, counted));
    store(3 * lanes, FinishPool(row, acc3, counted));
  }
}

// Windows of vectors of channels.
template <Fold kFold>
HWY_INLINE void PoolChannels(const float* HWY_RESTRICT src, const PoolRow& row, float* HWY_RESTRICT dst) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto load = [&](const float* p) HWY_ATTR { return hn::LoadU(d, p); };
  for (int64_t x = 0; x < row.width; ++x, dst += row.lanes) {
    int64_t l = 0;
    const auto store = [&](int64_t at, V v) HWY_ATTR { hn::StoreU(v, d, dst + l + at); };
    for (; l + 4 * lanes <= row.lanes; l += 4 * lanes) PoolWindow<kFold, 4>(d, src, row, x, l, load, store);
    for (; l + lanes <= row.lanes; l += lanes) PoolWindow<kFold, 1>(d, src, row, x, l, load, store);
    if (l == row.lanes) continue;
    const auto mask = hn::FirstN(d, static_cast<size_t>(row.lanes - l));
    PoolWindow<kFold, 1>(
        d, src, row, x, l, [&](const float* p) HWY_ATTR { return LoadFirst(mask, d, p); },
        [&](int64_t, V v) HWY_ATTR { hn::BlendedStore(v, mask, d, dst + l); });
  }
}

// A vector of neighbouring windows of single elements, none of which is clipped along the row.
template <Fold kFold, class Load>
HWY_INLINE V PoolNeighbours(Floats d, const float* src, const PoolRow& row, int64_t x, const Load& load) {
  V acc = Start<kFold>(d);
  for (int64_t r = 0; r < row.num_rows; ++r) {
    const float* p = src + row.rows[r] + x * row.stride - row.pad;
    for (int64_t k = 0; k < row.kernel; ++k) acc = Step<kFold>(d, acc, load(p + k * row.dilation), acc);
  }
  return acc;
}

template <Fold kFold>
HWY_INLINE void PoolElements(const float* HWY_RESTRICT src, const PoolRow& row, float* HWY_RESTRICT dst) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN float one[hn::MaxLanes(Floats())];
  const auto single = [&](int64_t x) HWY_ATTR {
    const auto mask = hn::FirstN(d, 1);
    PoolWindow<kFold, 1>(
        d, src, row, x, 0, [&](const float* p) HWY_ATTR { return LoadFirst(mask, d, p); },
        [&](int64_t, V v) HWY_ATTR { hn::Store(v, d, one); });
    dst[x] = one[0];
  };
  const auto full = [&](int64_t x) { return row.taps[x].begin == 0 && row.taps[x].end == row.kernel; };
  int64_t x = 0, end = row.width;
  while (x < end && !full(x)) single(x++);
  while (end > x && !full(end - 1)) single(--end);
  const bool gather = row.stride < (int64_t{1} << 24);
  const auto at = hn::Mul(hn::Iota(di, 0), hn::Set(di, static_cast<int32_t>(gather ? row.stride : 0)));
  HWY_ALIGN float counts[hn::MaxLanes(Floats())];
  // Two loads of a pair read one element behind the last that is needed: that of the next window, then.
  const int64_t reach = row.stride == 2 ? lanes + 1 : lanes;
  for (; gather && x + reach <= end; x += lanes) {
    V acc;
    if (row.stride == 1) {
      acc = PoolNeighbours<kFold>(d, src, row, x, [&](const float* p) HWY_ATTR { return hn::LoadU(d, p); });
    } else if (row.stride == 2) {
      acc = PoolNeighbours<kFold>(d, src, row, x, [&](const float* p) HWY_ATTR {
        return hn::ConcatEven(d, hn::LoadU(d, p + lanes), hn::LoadU(d, p));
      });
    } else {
      acc = PoolNeighbours<kFold>(d, src, row, x,
                                  [&](const float* p) HWY_ATTR { return hn::GatherIndex(d, p, at); });
    }
    for (int64_t i = 0; i < lanes; ++i) counts[i] = DivisorOf(row, x + i);
    hn::StoreU(FinishPool(row, acc, hn::Load(d, counts)), d, dst + x);
  }
  for (; x < end; ++x) single(x);
}

template <Fold kFold>
HWY_NOINLINE void PoolAny(const float* src, const PoolRow& row, float* dst) {
  if (row.lanes == 1)
    PoolElements<kFold>(src, row, dst);
  else
    PoolChannels<kFold>(src, row, dst);
}

void PoolFloatsOf(Fold fold, const float* src, const PoolRow& row, float* dst) {
  switch (fold) {
    case Fold::kMax:
      return PoolAny<Fold::kMax>(src, row, dst);
    case Fold::kSum:
      return PoolAny<Fold::kSum>(src, row, dst);
    case Fold::kSumAbs:
      return PoolAny<Fold::kSumAbs>(src, row, dst);
    case Fold::kSumSquare:
      return PoolAny<Fold::kSumSquare>(src, row, dst);
    default:
      return;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(PoolFloatsOf);

void PoolFloats(Fold fold, const float* src, const PoolRow& row, float* dst) {
  HWY_DYNAMIC_DISPATCH(PoolFloatsOf)(fold, src, row, dst);
}

}  // namespace sluice
#endif
