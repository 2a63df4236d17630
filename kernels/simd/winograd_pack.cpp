// Weights of a Winograd convolution in the order that its products read them: [panel][element][ic][channel of
// the panel]. The transform is done in double, one kernel a lane, and rounded once. Where it is left to the run,
// in the order that this reads them: [panel][ic][tap][channel of the panel].

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/winograd_pack.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/simd/direct_conv.h"
#include "kernels/simd/unroll.h"
#include "kernels/simd/winograd.h"
#include "kernels/simd/winograd_form.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// The widest panel of any target.
constexpr int64_t kMaxPanel = 64;

namespace hn = hwy::HWY_NAMESPACE;

// `width` kernels at once, a multiple of a vector: taps[t][lane] to packed[e * step + lane], u = G w G^T,
// e = 0 .. size^2.
template <class Form>
void Transform(const Form&, int64_t width, const float (*taps)[kMaxPanel], float* packed, int64_t step) {
  constexpr int kSize = Form::size, kTaps = Form::kernel;
  constexpr auto& g = kWinogradForm<Form::m, Form::kernel, Form::stride>.g;
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  using V = hn::Vec<decltype(d)>;
  for (int64_t l = 0; l < width; l += static_cast<int64_t>(hn::Lanes(d))) {
    SLUICE_UNROLL
    for (int i = 0; i < kSize; ++i) {
      V half[kTaps];
      SLUICE_UNROLL
      for (int j = 0; j < kTaps; ++j) {
        half[j] = hn::Zero(d);
        SLUICE_UNROLL
        for (int k = 0; k < kTaps; ++k) {
          if (g[i][k] == 0) continue;
          const V tap = hn::PromoteTo(d, hn::LoadU(narrow, taps[k * kTaps + j] + l));
          half[j] = hn::MulAdd(tap, hn::Set(d, g[i][k]), half[j]);
        }
      }
      SLUICE_UNROLL
      for (int j = 0; j < kSize; ++j) {
        V sum = hn::Zero(d);
        SLUICE_UNROLL
        for (int k = 0; k < kTaps; ++k) {
          if (g[j][k] != 0) sum = hn::MulAdd(half[k], hn::Set(d, g[j][k]), sum);
        }
        hn::StoreU(hn::DemoteTo(narrow, sum), narrow, packed + (i * kSize + j) * step + l);
      }
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
  float taps[kTaps][kMaxPanel] = {};
  for (int64_t i = 0; i < ic; ++i) {
    for (int64_t l = 0; l < lanes; ++l) {
      for (int64_t t = 0; t < kTaps; ++t) taps[t][l] = from[(l * ic + i) * kTaps + t];
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

namespace {

void PackTaps(const WinogradShape& s, const float* weights, int64_t oc, int64_t ic, int64_t panel,
              float* packed) {
  const int64_t width = WinogradPanel(), taps = s.kernel * s.kernel, rows = s.ic() * taps;
  const int64_t lanes = std::min(width, oc - panel * width);
  const float* from = weights + panel * width * ic * taps;
  float* to = packed + panel * rows * width;
  if (lanes == width && ic == s.ic()) {
    // Pieces of lines of every channel that the cache holds.
    constexpr int64_t kPiece = 64;
    for (int64_t i = 0; i < rows; i += kPiece)
      InterleaveFloats(from + i, rows, width, std::min(kPiece, rows - i), to + i * width);
    return;
  }
  std::fill_n(to, rows * width, 0.0f);
  for (int64_t l = 0; l < lanes; ++l) {
    for (int64_t i = 0; i < ic * taps; ++i) to[i * width + l] = from[l * ic * taps + i];
  }
}

}  // namespace

int64_t WinogradPanels(const WinogradShape& s) { return (s.oc() + WinogradPanel() - 1) / WinogradPanel(); }

int64_t WinogradPackedElems(const WinogradShape& s) {
  return WinogradPanels(s) * (s.late ? s.kernel * s.kernel : s.elems()) * s.ic() * WinogradPanel();
}

void WinogradPack(const WinogradShape& s, const float* weights, int64_t oc, int64_t ic, int64_t panel,
                  float* packed) {
  if (s.late)
    PackTaps(s, weights, oc, ic, panel, packed);
  else
    HWY_DYNAMIC_DISPATCH(PackPanel)(s, weights, oc, ic, panel, packed);
}

}  // namespace sluice
#endif  // HWY_ONCE
