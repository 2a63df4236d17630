// Weights of a Winograd convolution in the order that its products read them: [panel][element][ic][channel of
// the panel]. The transform is done in double, one kernel a lane, and rounded once.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/winograd_pack.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/simd/winograd.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// The widest panel of any target.
constexpr int64_t kMaxPanel = 64;

// G of F(m, 3): u = G w G^T.
constexpr double kG2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
constexpr double kG4[6][3] = {{1.0 / 4, 0, 0},
                              {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                              {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                              {1.0 / 24, 1.0 / 12, 1.0 / 6},
                              {1.0 / 24, -1.0 / 12, 1.0 / 6},
                              {0, 0, 1}};

// `width` kernels at once: taps[t][lane] to packed[e * step + lane], e = 0 .. size^2.
template <int kSize>
void Transform(const double (&g)[kSize][3], int64_t width, const double (*taps)[kMaxPanel], float* packed,
               int64_t step) {
  double half[kSize][3][kMaxPanel];
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < 3; ++j) {
      const double g0 = g[i][0], g1 = g[i][1], g2 = g[i][2];
      for (int64_t l = 0; l < width; ++l) {
        half[i][j][l] = g0 * taps[j][l] + g1 * taps[3 + j][l] + g2 * taps[6 + j][l];
      }
    }
  }
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) {
      const double g0 = g[j][0], g1 = g[j][1], g2 = g[j][2];
      float* to = packed + (i * kSize + j) * step;
      for (int64_t l = 0; l < width; ++l) {
        to[l] = static_cast<float>(half[i][0][l] * g0 + half[i][1][l] * g1 + half[i][2][l] * g2);
      }
    }
  }
}

void PackPanel(const WinogradShape& s, const float* weights, int64_t oc, int64_t ic, int64_t panel,
               float* packed) {
  const int64_t width = WinogradPanel(), padded = s.ic(), step = padded * width;
  const int64_t lanes = std::min(width, oc - panel * width);
  float* to = packed + panel * s.elems() * step;
  const float* from = weights + panel * width * ic * 9;
  double taps[9][kMaxPanel] = {};
  for (int64_t i = 0; i < ic; ++i) {
    for (int64_t l = 0; l < lanes; ++l) {
      for (int t = 0; t < 9; ++t) taps[t][l] = static_cast<double>(from[(l * ic + i) * 9 + t]);
    }
    if (s.m == 4) {
      Transform(kG4, width, taps, to + i * width, step);
    } else {
      Transform(kG2, width, taps, to + i * width, step);
    }
  }
  for (int64_t e = 0; e < s.elems(); ++e) {
    std::fill(to + e * step + ic * width, to + (e + 1) * step, 0.0f);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(PackPanel);

int64_t WinogradPanels(const WinogradShape& s) { return (s.oc() + WinogradPanel() - 1) / WinogradPanel(); }

int64_t WinogradPackedElems(const WinogradShape& s) {
  return WinogradPanels(s) * s.elems() * s.ic() * WinogradPanel();
}

void WinogradPack(const WinogradShape& s, const float* weights, int64_t oc, int64_t ic, int64_t panel,
                  float* packed) {
  HWY_DYNAMIC_DISPATCH(PackPanel)(s, weights, oc, ic, panel, packed);
}

}  // namespace sluice
#endif  // HWY_ONCE
