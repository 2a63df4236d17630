// Weights of a Winograd convolution in the order that its products read them: [panel][element][ic][channel of
// the panel]. The transform is done in double, one kernel a lane, and rounded once.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/winograd_pack.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/simd/winograd.h"
#include "kernels/simd/winograd_form.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// The widest panel of any target.
constexpr int64_t kMaxPanel = 64;

// `width` kernels at once: taps[t][lane] to packed[e * step + lane], u = G w G^T, e = 0 .. size^2.
template <class Form>
void Transform(const Form& form, int64_t width, const double (*taps)[kMaxPanel], float* packed,
               int64_t step) {
  constexpr int kSize = Form::size, kTaps = Form::kernel;
  double half[kSize][kTaps][kMaxPanel] = {};
  for (int i = 0; i < kSize; ++i) {
    for (int k = 0; k < kTaps; ++k) {
      const double g = form.g[i][k];
      if (g == 0) continue;
      for (int j = 0; j < kTaps; ++j) {
        for (int64_t l = 0; l < width; ++l) half[i][j][l] += g * taps[k * kTaps + j][l];
      }
    }
  }
  for (int i = 0; i < kSize; ++i) {
    for (int j = 0; j < kSize; ++j) {
      double sum[kMaxPanel] = {};
      for (int k = 0; k < kTaps; ++k) {
        const double g = form.g[j][k];
        if (g == 0) continue;
        for (int64_t l = 0; l < width; ++l) sum[l] += half[i][k][l] * g;
      }
      float* to = packed + (i * kSize + j) * step;
      for (int64_t l = 0; l < width; ++l) to[l] = static_cast<float>(sum[l]);
    }
  }
}

template <class Form>
void PackAs(const Form& form, const WinogradShape& s, const float* weights, int64_t oc, int64_t ic,
            int64_t panel, float* packed) {
  constexpr int64_t kTaps = Form::kernel * Form::kernel;
  const int64_t width = WinogradPanel(), padded = s.ic(), step = padded * width;
  const int64_t lanes = std::min(width, oc - panel * width);
  float* to = packed + panel * s.elems() * step;
  const float* from = weights + panel * width * ic * kTaps;
  double taps[kTaps][kMaxPanel] = {};
  for (int64_t i = 0; i < ic; ++i) {
    for (int64_t l = 0; l < lanes; ++l) {
      for (int64_t t = 0; t < kTaps; ++t) taps[t][l] = static_cast<double>(from[(l * ic + i) * kTaps + t]);
    }
    Transform(form, width, taps, to + i * width, step);
  }
  for (int64_t e = 0; e < s.elems(); ++e) {
    std::fill(to + e * step + ic * width, to + (e + 1) * step, 0.0f);
  }
}

void PackPanel(const WinogradShape& s, const float* weights, int64_t oc, int64_t ic, int64_t panel,
               float* packed) {
  WithWinogradForm(s.m, s.kernel, s.stride,
                   [&](const auto& form) { PackAs(form, s, weights, oc, ic, panel, packed); });
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
