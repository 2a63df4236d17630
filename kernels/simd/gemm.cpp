#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/gemm.cpp"
#include "kernels/simd/gemm.h"

#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
using Vec = hn::Vec<D>;

// Vectors beyond a panel's width would be half empty.
template <typename Sum>
using PanelTag = hn::CappedTag<Sum, kPanelWidth<Sum>>;

template <typename Sum, class V>
HWY_INLINE V MulAdd(V a, V b, V c) {
  if constexpr (hwy::IsFloat<Sum>()) {
    return hn::MulAdd(a, b, c);
  } else {
    return hn::Add(hn::Mul(a, b), c);
  }
}

// kRows rows of c times one panel, all of k in registers. `valid` columns are stored.
template <typename Sum, int kRows, int kVectors>
HWY_INLINE void Block(const Sum* HWY_RESTRICT a, int64_t a_row, int64_t a_col, const Sum* HWY_RESTRICT panel,
                      int64_t k, Sum* HWY_RESTRICT c, int64_t c_row, int64_t valid, bool accumulate) {
  const PanelTag<Sum> d;
  using V = Vec<decltype(d)>;
  constexpr int64_t kLanes = kPanelWidth<Sum> / kVectors, kWidth = kPanelWidth<Sum>;
  V sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(d);
  }
  for (int64_t p = 0; p < k; ++p) {
    V b[kVectors];
    for (int v = 0; v < kVectors; ++v) b[v] = hn::Load(d, panel + p * kWidth + v * kLanes);
    for (int r = 0; r < kRows; ++r) {
      const V x = hn::Set(d, a[r * a_row + p * a_col]);
      for (int v = 0; v < kVectors; ++v) sums[r][v] = MulAdd<Sum>(x, b[v], sums[r][v]);
    }
  }
  if (valid == kWidth) {
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        Sum* to = c + r * c_row + v * kLanes;
        hn::StoreU(accumulate ? hn::Add(sums[r][v], hn::LoadU(d, to)) : sums[r][v], d, to);
      }
    }
    return;
  }
  HWY_ALIGN Sum line[kWidth];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) hn::Store(sums[r][v], d, line + v * kLanes);
    Sum* to = c + r * c_row;
    for (int64_t j = 0; j < valid; ++j) to[j] = accumulate ? line[j] + to[j] : line[j];
  }
}

// Rows of c from `row` on, in blocks of kRows and then of what is left.
template <typename Sum, int kRows, int kVectors>
HWY_INLINE void Rows(const PanelProblem<Sum>& p, const Sum* panel, int64_t row, int64_t column,
                     int64_t valid) {
  for (; row + kRows <= p.m; row += kRows) {
    Block<Sum, kRows, kVectors>(p.a + row * p.a_row, p.a_row, p.a_col, panel, p.k,
                                p.c + row * p.c_row + column, p.c_row, valid, p.accumulate);
  }
  if constexpr (kRows > 1) {
    if (row < p.m) Rows<Sum, (kRows > 4 ? kRows / 2 : kRows - 1), kVectors>(p, panel, row, column, valid);
  }
}

template <typename Sum>
HWY_INLINE void Multiply(const PanelProblem<Sum>& p) {
  const PanelTag<Sum> d;
  constexpr int64_t kWidth = kPanelWidth<Sum>;
  constexpr int kVectors = static_cast<int>(kWidth) / static_cast<int>(hn::MaxLanes(d));
  // Accumulators, the panel's vectors and one broadcast fill the registers: 32 of them where vectors have
  // 512 bits, otherwise 16.
  constexpr int kRows = kVectors <= 2 ? 12 : kVectors == 4 ? 3 : 1;
  for (int64_t column = 0; column < p.n; column += kWidth) {
    Rows<Sum, kRows, kVectors>(p, p.panels + column / kWidth * p.panel_stride, 0, column,
                               HWY_MIN(kWidth, p.n - column));
  }
}

void MultiplyF32(const PanelProblem<float>& p) { Multiply(p); }
void MultiplyF64(const PanelProblem<double>& p) { Multiply(p); }
void MultiplyU32(const PanelProblem<uint32_t>& p) { Multiply(p); }

// Few processors multiply 64-bit integers in vectors.
void MultiplyU64(const PanelProblem<uint64_t>& p) {
  constexpr int64_t kWidth = kPanelWidth<uint64_t>;
  for (int64_t column = 0; column < p.n; column += kWidth) {
    const uint64_t* panel = p.panels + column / kWidth * p.panel_stride;
    const int64_t valid = HWY_MIN(kWidth, p.n - column);
    for (int64_t row = 0; row < p.m; ++row) {
      uint64_t sums[kWidth] = {};
      for (int64_t q = 0; q < p.k; ++q) {
        const uint64_t x = p.a[row * p.a_row + q * p.a_col];
        for (int64_t j = 0; j < kWidth; ++j) sums[j] += x * panel[q * kWidth + j];
      }
      uint64_t* to = p.c + row * p.c_row + column;
      for (int64_t j = 0; j < valid; ++j) to[j] = p.accumulate ? to[j] + sums[j] : sums[j];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(MultiplyF32);
HWY_EXPORT(MultiplyF64);
HWY_EXPORT(MultiplyU32);
HWY_EXPORT(MultiplyU64);

void MultiplyPanels(const PanelProblem<float>& p) { HWY_DYNAMIC_DISPATCH(MultiplyF32)(p); }
void MultiplyPanels(const PanelProblem<double>& p) { HWY_DYNAMIC_DISPATCH(MultiplyF64)(p); }
void MultiplyPanels(const PanelProblem<uint32_t>& p) { HWY_DYNAMIC_DISPATCH(MultiplyU32)(p); }
void MultiplyPanels(const PanelProblem<uint64_t>& p) { HWY_DYNAMIC_DISPATCH(MultiplyU64)(p); }

}  // namespace sluice
#endif
