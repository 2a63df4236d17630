#pragma once

#include <array>

namespace sluice {

// y = A^T ((G g) * (B^T d)): the m correlations of r taps g with n = m + r - 1 values d.
template <int m, int r>
struct ToomCook {
  static constexpr int n = m + r - 1;
  std::array<std::array<double, n>, n> bt{};  // B^T
  std::array<std::array<double, n>, m> at{};  // A^T
  std::array<std::array<double, r>, n> g{};   // G
};

// For the points 0, 1, -1, 1/2, -2, -1/2, 2 as far as needed, and infinity: in float, errors of F(4, 4) are then
// four times those of the plain sum (normal values), less than with other choices of small points.
template <int m, int r>
constexpr ToomCook<m, r> MakeToomCook() {
  constexpr int n = m + r - 1;
  constexpr double kPoints[] = {0, 1, -1, 0.5, -2, -0.5, 2};
  static_assert(n - 1 <= 7);
  ToomCook<m, r> result;
  for (int i = 0; i < n; ++i) {
    // The product of (x - point) over all points but the i-th; over all of them for infinity.
    std::array<double, n> poly{};
    poly[0] = 1;
    int degree = 0;
    double scale = 1;
    for (int k = 0; k < n - 1; ++k) {
      if (k == i) continue;
      for (int j = degree + 1; j > 0; --j) poly[j] = poly[j - 1] - kPoints[k] * poly[j];
      poly[0] *= -kPoints[k];
      ++degree;
      if (i < n - 1) scale *= kPoints[i] - kPoints[k];
    }
    result.bt[i] = poly;
    double power = 1;
    for (int j = 0; j < m || j < r; ++j) {
      const double at = i < n - 1 ? power : 0;
      if (j < m) result.at[j][i] = i == n - 1 && j == m - 1 ? 1 : at;
      if (j < r) result.g[i][j] = i == n - 1 && j == r - 1 ? 1 : at / scale;
      if (i < n - 1) power *= kPoints[i];
    }
  }
  return result;
}

template <int m, int r>
inline constexpr ToomCook<m, r> kToomCook = MakeToomCook<m, r>();
// Objects of their own: before version 16 clang takes no part of an object as a template argument.
template <int m, int r>
inline constexpr auto kToomCookBt = kToomCook<m, r>.bt;
template <int m, int r>
inline constexpr auto kToomCookAt = kToomCook<m, r>.at;

}  // namespace sluice
