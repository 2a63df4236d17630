// Products of F(5x5, 3x3) with weights that are transformed in passing: their columns into a buffer that
// stays in the L2 cache, their rows in registers, for a few tiles whose sums stay in registers too.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/winograd_late.cpp"
#include "kernels/simd/winograd_late.h"

#include <algorithm>
#include <utility>

#include "kernels/simd/unroll.h"

// The order matters: the first of these includes this file again for every instruction set.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on
#include "kernels/simd/toom_cook-inl.h"
#include "kernels/simd/winograd_form.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3
using Tag = hn::CappedTag<float, 16>;
using V = hn::Vec<Tag>;
using Form = WinogradForm<5, 3, 1>;

// Sums of so many tiles, for two vectors of channels each, leave registers for the transform.
constexpr int kMostTiles = 12;
constexpr int64_t kBlock = 16, kLanes = 16, kWidth = 2 * kLanes;
// Input channels whose columns are transformed at a time.
constexpr int64_t kChannels = 64;
constexpr int kTaps = 3, kSize = Form::size;
// Floats between two rows of transformed columns: a vector more than there are, as of other buffers.
constexpr int64_t kRowStride = kChannels * kTaps * kWidth + 16;

// What is fetched while a product runs: `kLines` lines for every four of its channels.
struct Ahead {
  const float* from;
};
constexpr int64_t kLines = (kChannels * kTaps * kTaps * kWidth / 16 + kSize * kSize * kChannels / 4 - 1) /
                           (kSize * kSize * kChannels / 4);

// half[row][ic][tap of the row][channel of the panel] = G w of `count` input channels, from
// w[ic][tap][channel of the panel].
void TransformColumns(const float* w, int64_t count, float* half) {
  const Tag d;
  for (int64_t c = 0; c < count; ++c, w += kTaps * kTaps * kWidth, half += kTaps * kWidth) {
    for (int64_t at = 0; at < kTaps * kWidth; at += kLanes) {
      V x[kTaps], y[kSize];
      for (int i = 0; i < kTaps; ++i) x[i] = hn::Load(d, w + i * kTaps * kWidth + at);
      MultiplyLine<kWinogradG<5, 3, 1>>(d, x, y);
      for (int i = 0; i < kSize; ++i) hn::Store(y[i], d, half + i * kRowStride + at);
    }
  }
}

// c[row][channel of the panel] += sum over ic of a[row][ic] * (half G^T)[ic][column][channel], or = where
// `first`; a is [block of ic][row][ic of the block].
template <size_t column, int rows>
HWY_INLINE void Product(const float* HWY_RESTRICT a, int64_t blocks, const float* HWY_RESTRICT half,
                        bool first, Ahead& ahead, float* HWY_RESTRICT c) {
  const Tag d;
  V sums[rows][2];
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < 2; ++i) sums[r][i] = first ? hn::Zero(d) : hn::Load(d, c + r * kWidth + i * kLanes);
  }
  for (int64_t b = 0; b < blocks; ++b, a += rows * kBlock) {
    for (int k = 0; k < kBlock; k += 4) {
      for (int64_t i = 0; i < kLines; ++i, ahead.from += 16) __builtin_prefetch(ahead.from, 0, 2);
      SLUICE_UNROLL
      for (int u = 0; u < 4; ++u, half += kTaps * kWidth) {
        V w[2];
        for (int i = 0; i < 2; ++i) {
          V taps[kTaps];
          for (int t = 0; t < kTaps; ++t) taps[t] = hn::Load(d, half + t * kWidth + i * kLanes);
          w[i] = LineOf<kWinogradG<5, 3, 1>, column>(d, taps);
        }
        for (int r = 0; r < rows; ++r) {
          const V x = hn::Set(d, a[r * kBlock + k + u]);
          for (int i = 0; i < 2; ++i) sums[r][i] = hn::MulAdd(x, w[i], sums[r][i]);
        }
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < 2; ++i) hn::Store(sums[r][i], d, c + r * kWidth + i * kLanes);
  }
}

template <int rows>
void Products(const WinogradShape& s, const float* v, const float* weights, float* half, float* products) {
  const int64_t stride = InputStride(s, rows), product_stride = ProductStride(rows, kWidth);
  for (int64_t c = 0; c < s.ic(); c += kChannels) {
    const int64_t count = std::min(kChannels, s.ic() - c);
    const float* const from = weights + c * kTaps * kTaps * kWidth;
    TransformColumns(from, count, half);
    Ahead ahead{from + count * kTaps * kTaps * kWidth};
    for (int64_t row = 0; row < kSize; ++row) {
      const auto multiply = [&]<size_t column>() HWY_ATTR {
        const int64_t e = row * kSize + static_cast<int64_t>(column);
        Product<column, rows>(v + e * stride + c * rows, count / kBlock, half + row * kRowStride, c == 0,
                              ahead, products + e * product_stride);
      };
      [&]<size_t... column>(std::index_sequence<column...>) HWY_ATTR {
        (multiply.template operator()<column>(), ...);
      }
      (std::make_index_sequence<kSize>());
    }
  }
}

template <int rows = kMostTiles>
void Run(const WinogradShape& s, const float* v, const float* weights, int64_t tiles, float* half,
         float* products) {
  if (tiles == rows) return Products<rows>(s, v, weights, half, products);
  if constexpr (rows > 1) Run<rows - 1>(s, v, weights, tiles, half, products);
}
int64_t MostTiles() { return kMostTiles; }
int64_t ScratchElems() { return kSize * kRowStride; }
void LateProducts(const WinogradShape& s, const float* v, const float* weights, int64_t tiles, float* half,
                  float* products) {
  Run(s, v, weights, tiles, half, products);
}
#else
// Too few registers.
int64_t MostTiles() { return 0; }
int64_t ScratchElems() { return 0; }
void LateProducts(const WinogradShape&, const float*, const float*, int64_t, float*, float*) {}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(MostTiles);
HWY_EXPORT(ScratchElems);
HWY_EXPORT(LateProducts);

int64_t WinogradLateTiles() { return HWY_DYNAMIC_DISPATCH(MostTiles)(); }
int64_t WinogradLateScratchElems() { return HWY_DYNAMIC_DISPATCH(ScratchElems)(); }
void WinogradLateProducts(const WinogradShape& shape, const float* v, const float* weights, int64_t tiles,
                          float* scratch, float* products) {
  HWY_DYNAMIC_DISPATCH(LateProducts)(shape, v, weights, tiles, scratch, products);
}

}  // namespace sluice
#endif  // HWY_ONCE
