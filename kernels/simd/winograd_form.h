#pragma once

#include <array>

#include "kernels/simd/toom_cook.h"

namespace sluice {

// One dimension of a Winograd convolution: m outputs of a kernel of `kernel` taps at stride 1 or 2 from
// `size` neighbouring inputs, as A^T ((G g) * (B^T d)).
//
// At stride 2 even inputs meet the even taps and odd inputs the odd ones, each at stride 1: two transforms
// side by side, whose products sum. A phase of one tap is not transformed.
template <int m_, int kernel_, int stride_>
struct WinogradForm {
  static constexpr int m = m_, kernel = kernel_, stride = stride_;
  // With errors above 5e-5 of the largest output: transforms of more than six elements have larger numbers. The
  // points of F(5, 3) are chosen such that its errors are 1.5 times those of F(4, 3) (root mean square, normal values).
  static constexpr bool fast = m + (kernel + stride - 1) / stride - 1 > (m == 5 ? 7 : 6);
  static constexpr int size = stride == 1 ? m + kernel - 1 : 2 * m + kernel - 2;

  std::array<std::array<double, size>, size> bt{};
  std::array<std::array<double, size>, m> at{};
  std::array<std::array<double, kernel>, size> g{};

  constexpr WinogradForm() { AddPhase<0>(0); }

 private:
  template <int phase>
  constexpr void AddPhase(int first) {
    if constexpr (phase < stride) {
      constexpr int taps = (kernel + stride - 1 - phase) / stride, n = taps == 1 ? m : m + taps - 1;
      for (int i = 0; i < n; ++i) {
        if constexpr (taps == 1) {
          bt[first + i][stride * i + phase] = at[i][first + i] = g[first + i][phase] = 1;
        } else {
          constexpr const auto& form = kToomCook<m, taps>;
          for (int j = 0; j < n; ++j) bt[first + i][stride * j + phase] = form.bt[i][j];
          for (int j = 0; j < m; ++j) at[j][first + i] = form.at[j][i];
          for (int j = 0; j < taps; ++j) g[first + i][stride * j + phase] = form.g[i][j];
        }
      }
      AddPhase<phase + 1>(first + n);
    }
  }
};

// F(4, 3) with the points 0, 1, -1, 2, -2, whose transforms share terms.
template <>
constexpr WinogradForm<4, 3, 1>::WinogradForm()
    : bt{{{4, 0, -5, 0, 1, 0},
          {0, -4, -4, 1, 1, 0},
          {0, 4, -4, -1, 1, 0},
          {0, -2, -1, 2, 1, 0},
          {0, 2, -1, -2, 1, 0},
          {0, 4, 0, -5, 0, 1}}},
      at{{{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}}},
      g{{{1.0 / 4, 0, 0},
         {-1.0 / 6, -1.0 / 6, -1.0 / 6},
         {-1.0 / 6, 1.0 / 6, -1.0 / 6},
         {1.0 / 24, 1.0 / 12, 1.0 / 6},
         {1.0 / 24, -1.0 / 12, 1.0 / 6},
         {0, 0, 1}}} {}

// F(5, 3) with the points 0, 1, -1, 1/2, -1/2, 2, its fractions in B^T: G is applied in every run.
template <>
constexpr WinogradForm<5, 3, 1>::WinogradForm()
    : bt{{{1, -1.0 / 2, -5, 5.0 / 2, 4, -2, 0},
          {0, -1.0 / 3, -1.0 / 6, 3.0 / 2, 2.0 / 3, -2.0 / 3, 0},
          {0, 1.0 / 9, -1.0 / 6, -7.0 / 18, 2.0 / 3, -2.0 / 9, 0},
          {0, 4.0 / 9, 2.0 / 3, -8.0 / 9, -2.0 / 3, 4.0 / 9, 0},
          {0, -4.0 / 15, 2.0 / 3, 0, -2.0 / 3, 4.0 / 15, 0},
          {0, 1.0 / 90, 0, -1.0 / 18, 0, 2.0 / 45, 0},
          {0, -1.0 / 2, 1.0 / 4, 5.0 / 2, -5.0 / 4, -2, 1}}},
      at{{{1, 1, 1, 1, 1, 1, 0},
          {0, 1, -1, 1.0 / 2, -1.0 / 2, 2, 0},
          {0, 1, 1, 1.0 / 4, 1.0 / 4, 4, 0},
          {0, 1, -1, 1.0 / 8, -1.0 / 8, 8, 0},
          {0, 1, 1, 1.0 / 16, 1.0 / 16, 16, 1}}},
      g{{{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {4, 2, 1}, {4, -2, 1}, {1, 2, 4}, {0, 0, 1}}} {}

template <int m, int kernel, int stride>
inline constexpr WinogradForm<m, kernel, stride> kWinogradForm{};
// Objects of their own: before version 16 clang takes no part of an object as a template argument.
template <int m, int kernel, int stride>
inline constexpr auto kWinogradBt = kWinogradForm<m, kernel, stride>.bt;
template <int m, int kernel, int stride>
inline constexpr auto kWinogradAt = kWinogradForm<m, kernel, stride>.at;
template <int m, int kernel, int stride>
inline constexpr auto kWinogradG = kWinogradForm<m, kernel, stride>.g;

// Calls fn(kWinogradForm<m, kernel, stride>) of the form that has these numbers, if there is one; whether
// there is.
template <typename Fn>
bool WithWinogradForm(int m, int kernel, int stride, const Fn& fn) {
  const auto is = [&]<int m_, int kernel_, int stride_>(const WinogradForm<m_, kernel_, stride_>& form) {
    if (m != m_ || kernel != kernel_ || stride != stride_) return false;
    fn(form);
    return true;
  };
  return is(kWinogradForm<2, 3, 1>) || is(kWinogradForm<4, 3, 1>) || is(kWinogradForm<2, 4, 1>) ||
         is(kWinogradForm<2, 5, 1>) || is(kWinogradForm<2, 3, 2>) || is(kWinogradForm<4, 3, 2>) ||
         is(kWinogradForm<2, 4, 2>) || is(kWinogradForm<4, 4, 2>) || is(kWinogradForm<2, 5, 2>) || is(kWinogradForm<4, 5, 2>) ||
         is(kWinogradForm<5, 3, 1>) || is(kWinogradForm<6, 3, 1>) || is(kWinogradForm<4, 4, 1>) || is(kWinogradForm<4, 5, 1>);
}

}  // namespace sluice
