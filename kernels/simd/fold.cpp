#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/fold.cpp"
#include "kernels/simd/fold.h"

// Before all other headers of Highway.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// clang-format on
#include "kernels/simd/fold-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors that are summed side by side, to hide the latency of additions.
constexpr int64_t kUnroll = 4;

// Folds two partial results into one.
template <Fold kFold>
HWY_INLINE V Join(Floats d, V a, V b) {
  if constexpr (kFold == Fold::kMax || kFold == Fold::kMin) return Step<kFold>(d, a, b, a);
  return hn::Add(a, b);
}
template <Fold kFold>
HWY_INLINE double Join(double a, double b) {
  if constexpr (kFold == Fold::kMax || kFold == Fold::kMin) return FoldIn<kFold>(a, b, 0.0);
  return a + b;
}
template <Fold kFold>
HWY_INLINE V JoinAll(Floats d, const V (&v)[kUnroll]) {
  return Join<kFold>(d, Join<kFold>(d, v[0], v[1]), Join<kFold>(d, v[2], v[3]));
}

template <Fold kFold>
HWY_INLINE double JoinLanes(Floats d, V v) {
  HWY_ALIGN float lanes[hn::MaxLanes(Floats())];
  hn::Store(v, d, lanes);
  double result = static_cast<double>(lanes[0]);
  for (size_t i = 1; i < hn::Lanes(d); ++i) result = Join<kFold>(result, static_cast<double>(lanes[i]));
  return result;
}

// The first `count` lanes from memory, the others whatever leaves a result as it is.
template <Fold kFold>
HWY_INLINE V StepFirst(Floats d, V acc, const float* src, int64_t count, V shift) {
  const auto mask = hn::FirstN(d, static_cast<size_t>(count));
  return hn::IfThenElse(mask, Step<kFold>(d, acc, LoadFirst(mask, d, src), shift), acc);
}

// Every result from elements side by side.
template <Fold kFold>
HWY_INLINE void FoldRows(const float* HWY_RESTRICT src, const FoldBox& box, const double* shift,
                         double* HWY_RESTRICT acc) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < box.count; ++j) {
    const float* row = src + j * box.count_step;
    const V by = hn::Set(d, HasShift(kFold) ? static_cast<float>(shift[j]) : 0.0f);
    for (int64_t begin = 0; begin < box.length;) {
      const int64_t end = HWY_MIN(box.length, begin + kMaxFloatAdditions * kUnroll * lanes);
      V sums[kUnroll] = {Start<kFold>(d), Start<kFold>(d), Start<kFold>(d), Start<kFold>(d)};
      int64_t i = begin;
      for (; i + kUnroll * lanes <= end; i += kUnroll * lanes) {
        for (int64_t u = 0; u < kUnroll; ++u)
          sums[u] = Step<kFold>(d, sums[u], hn::LoadU(d, row + i + u * lanes), by);
      }
      for (; i + lanes <= end; i += lanes) sums[0] = Step<kFold>(d, sums[0], hn::LoadU(d, row + i), by);
      if (i < end) sums[1] = StepFirst<kFold>(d, sums[1], row + i, end - i, by);
      acc[j] = Join<kFold>(acc[j], JoinLanes<kFold>(d, JoinAll<kFold>(d, sums)));
      begin = end;
    }
  }
}

// One vector of results, of which `valid` lanes count. Load(i) gives element i of each; it may leave those
// that do not count undefined.
template <Fold kFold, class Load>
HWY_INLINE void FoldVector(Floats d, int64_t length, int64_t valid, V by, double* HWY_RESTRICT acc,
                           const Load& load) {
  HWY_ALIGN float lanes[hn::MaxLanes(Floats())];
  for (int64_t begin = 0; begin < length;) {
    const int64_t end = HWY_MIN(length, begin + kMaxFloatAdditions * kUnroll);
    V sums[kUnroll] = {Start<kFold>(d), Start<kFold>(d), Start<kFold>(d), Start<kFold>(d)};
    int64_t i = begin;
    for (; i + kUnroll <= end; i += kUnroll) {
      for (int64_t u = 0; u < kUnroll; ++u) sums[u] = Step<kFold>(d, sums[u], load(i + u), by);
    }
    for (; i < end; ++i) sums[0] = Step<kFold>(d, sums[0], load(i), by);
    hn::Store(JoinAll<kFold>(d, sums), d, lanes);
    for (int64_t j = 0; j < valid; ++j) acc[j] = Join<kFold>(acc[j], static_cast<double>(lanes[j]));
    begin = end;
  }
}

// Many results at once, from neighbours (box.count_step is 1), or gathered where rows are too short to fill
// vectors.
template <Fold kFold>
HWY_INLINE void FoldColumns(const float* HWY_RESTRICT src, const FoldBox& box, const double* shift,
                            double* HWY_RESTRICT acc) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN float shifts[hn::MaxLanes(Floats())] = {};
  for (int64_t j = 0; j < box.count; j += lanes) {
    const int64_t valid = HWY_MIN(lanes, box.count - j);
    if constexpr (HasShift(kFold)) {
      for (int64_t u = 0; u < valid; ++u) shifts[u] = static_cast<float>(shift[j + u]);
    }
    const V by = hn::Load(d, shifts);
    const float* from = src + j * box.count_step;
    const int64_t step = box.length_step;
    if (box.count_step != 1) {
      const auto row = hn::Min(hn::Iota(di, 0), hn::Set(di, static_cast<int32_t>(valid - 1)));
      const auto at = hn::Mul(row, hn::Set(di, static_cast<int32_t>(box.count_step)));
      FoldVector<kFold>(d, box.length, valid, by, acc + j,
                        [&](int64_t i) HWY_ATTR { return hn::GatherIndex(d, from + i * step, at); });
    } else if (valid == lanes) {
      FoldVector<kFold>(d, box.length, valid, by, acc + j,
                        [&](int64_t i) HWY_ATTR { return hn::LoadU(d, from + i * step); });
    } else {
      const auto mask = hn::FirstN(d, static_cast<size_t>(valid));
      FoldVector<kFold>(d, box.length, valid, by, acc + j,
                        [&](int64_t i) HWY_ATTR { return LoadFirst(mask, d, from + i * step); });
    }
  }
}

template <Fold kFold>
HWY_NOINLINE void FoldAny(const float* src, const FoldBox& box, const double* shift, double* acc) {
  // Gathering takes one step an element, a row two dozen for itself.
  const bool gather = box.count_step < (int64_t{1} << 24) && box.length <= 16;
  if (box.count_step == 1 || gather)
    FoldColumns<kFold>(src, box, shift, acc);
  else
    FoldRows<kFold>(src, box, shift, acc);
}

void FoldFloats(Fold fold, const float* src, const FoldBox& box, const double* shift, double* acc) {
  switch (fold) {
    case Fold::kSum:
      return FoldAny<Fold::kSum>(src, box, shift, acc);
    case Fold::kSumAbs:
      return FoldAny<Fold::kSumAbs>(src, box, shift, acc);
    case Fold::kSumSquare:
      return FoldAny<Fold::kSumSquare>(src, box, shift, acc);
    case Fold::kSumExp:
      return FoldAny<Fold::kSumExp>(src, box, shift, acc);
    case Fold::kSumOffset:
      return FoldAny<Fold::kSumOffset>(src, box, shift, acc);
    case Fold::kSumDeviation:
      return FoldAny<Fold::kSumDeviation>(src, box, shift, acc);
    case Fold::kMax:
      return FoldAny<Fold::kMax>(src, box, shift, acc);
    case Fold::kMin:
      return FoldAny<Fold::kMin>(src, box, shift, acc);
    case Fold::kProduct:
      return;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(FoldFloats);

void FoldFloatsInto(Fold fold, const float* src, const FoldBox& box, const double* shift, double* acc) {
  HWY_DYNAMIC_DISPATCH(FoldFloats)(fold, src, box, shift, acc);
}

}  // namespace sluice
#endif
