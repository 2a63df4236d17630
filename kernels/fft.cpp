#include "kernels/fft.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "sluice/tensor.h"

namespace sluice {
namespace {

// Larger primes cost their square; Bluestein's algorithm is faster.
constexpr int64_t kMaxRadix = 13;

// exp(sign * 2 pi j * i / n), from the first eighth of the circle so that symmetric ones agree exactly.
Complex Root(int64_t i, int64_t n, double sign) {
  i %= n;
  const int64_t eighth = 8 * i / n;
  const auto angle = [n](int64_t part) {
    return 2 * std::numbers::pi * static_cast<double>(part) / (8 * static_cast<double>(n));
  };
  // Position within a quarter, times 8.
  const int64_t quarter = (eighth + 1) / 2, offset = 8 * i - quarter * 2 * n;
  const double c = std::cos(angle(offset)), s = std::sin(angle(offset));
  const Complex points[4] = {{c, s}, {-s, c}, {-c, -s}, {s, -c}};
  Complex root = points[quarter % 4];
  root.im *= sign;
  return root;
}

// The factors of n in descending order, fours before twos; empty if a prime is too large.
std::vector<int64_t> Radices(int64_t n) {
  std::vector<int64_t> radices;
  for (int64_t radix : {4, 2, 3, 5, 7, 11, 13}) {
    for (; n % radix == 0; n /= radix) radices.push_back(radix);
  }
  if (n > 1) return {};
  std::sort(radices.rbegin(), radices.rend());
  return radices;
}

Complex TimesJ(Complex a, double sign) { return {-sign * a.im, sign * a.re}; }

void Butterfly2(const Complex* src, int64_t step, Complex* sums) {
  sums[0] = src[0] + src[step];
  sums[1] = src[0] - src[step];
}

void Butterfly4(const Complex* src, int64_t step, Complex* sums, double sign) {
  const Complex even = src[0] + src[2 * step], odd = src[step] + src[3 * step];
  const Complex even_difference = src[0] - src[2 * step];
  const Complex odd_difference = TimesJ(src[step] - src[3 * step], sign);
  sums[0] = even + odd;
  sums[1] = even_difference + odd_difference;
  sums[2] = even - odd;
  sums[3] = even_difference - odd_difference;
}

void Butterfly(const Complex* src, int64_t step, int64_t radix, const Complex* roots, Complex* sums) {
  for (int64_t r = 0; r < radix; ++r) {
    Complex sum = src[0];
    for (int64_t j = 1, root = 0; j < radix; ++j) {
      root += r;
      if (root >= radix) root -= radix;
      sum = sum + src[j * step] * roots[root];
    }
    sums[r] = sum;
  }
}

}  // namespace

Fft::Fft(int64_t n, bool inverse) : n_(n), sign_(inverse ? 1 : -1) {
  if (n == 1) return;
  // Factors, and as much again for what Run wants.
  CheckMemory(n * 2 * static_cast<int64_t>(sizeof(Complex)));
  const std::vector<int64_t> radices = Radices(n);
  if (!radices.empty()) {
    auto twiddles = std::make_shared<std::vector<Complex>>();
    int64_t elems = 0, rest = n;
    for (int64_t radix : radices) {
      rest /= radix;
      elems += rest * (radix - 1) + radix;
    }
    twiddles->reserve(static_cast<size_t>(elems));
    rest = n;
    for (int64_t radix : radices) {
      const int64_t points = rest;
      rest /= radix;
      const Complex* const begin = twiddles->data() + twiddles->size();
      for (int64_t q = 0; q < rest; ++q) {
        for (int64_t r = 1; r < radix; ++r) twiddles->push_back(Root(q * r, points, sign_));
      }
      for (int64_t r = 0; r < radix; ++r) twiddles->push_back(Root(r, radix, sign_));
      stages_.push_back({radix, rest, n / points, begin, begin + rest * (radix - 1)});
    }
    twiddles_ = std::move(twiddles);
    return;
  }
  // i * k = (i^2 + k^2 - (k - i)^2) / 2, so the transform is a convolution with exp(-sign pi j i^2 / n),
  // between two products with the conjugate.
  const auto padded = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(2 * n - 1)));
  forward_ = std::make_shared<const Fft>(padded, false);
  backward_ = std::make_shared<const Fft>(padded, true);
  auto chirp = std::make_shared<std::vector<Complex>>(static_cast<size_t>(n));
  auto kernel = std::make_shared<std::vector<Complex>>(static_cast<size_t>(padded));
  int64_t square = 0;  // i^2 modulo 2n
  for (int64_t i = 0; i < n; square = (square + 2 * i + 1) % (2 * n), ++i) {
    const Complex root = Root(square, 2 * n, sign_);
    (*chirp)[static_cast<size_t>(i)] = root;
    // With the factor of the backward transform.
    const Complex scaled = {root.re / static_cast<double>(padded), -root.im / static_cast<double>(padded)};
    (*kernel)[static_cast<size_t>(i)] = scaled;
    if (i > 0) (*kernel)[static_cast<size_t>(padded - i)] = scaled;
  }
  std::vector<Complex> scratch(static_cast<size_t>(forward_->scratch_elems()));
  forward_->Run(kernel->data(), scratch.data());
  chirp_ = std::move(chirp);
  kernel_ = std::move(kernel);
}

int64_t Fft::scratch_elems() const {
  return forward_ ? forward_->size() + forward_->scratch_elems() : stages_.empty() ? 0 : n_;
}

void Fft::Run(Complex* data, Complex* scratch) const {
  if (forward_)
    RunBluestein(data, scratch);
  else
    RunStages(data, scratch);
}

void Fft::RunStages(Complex* data, Complex* scratch) const {
  Complex *src = data, *dst = scratch;
  for (const Stage& stage : stages_) {
    Pass(stage, src, dst, sign_);
    std::swap(src, dst);
  }
  if (src != data) std::copy(src, src + n_, data);
}

void Fft::Pass(const Stage& stage, const Complex* src, Complex* dst, double sign) {
  const int64_t step = stage.done * stage.rest;
  Complex sums[kMaxRadix];
  for (int64_t q = 0; q < stage.rest; ++q) {
    const Complex* const twiddles = stage.twiddles + q * (stage.radix - 1);
    const Complex* from = src + q * stage.done;
    Complex* to = dst + q * stage.radix * stage.done;
    for (int64_t k = 0; k < stage.done; ++k, ++from, ++to) {
      if (stage.radix == 4)
        Butterfly4(from, step, sums, sign);
      else if (stage.radix == 2)
        Butterfly2(from, step, sums);
      else
        Butterfly(from, step, stage.radix, stage.roots, sums);
      to[0] = sums[0];
      for (int64_t r = 1; r < stage.radix; ++r) to[r * stage.done] = sums[r] * twiddles[r - 1];
    }
  }
}

void Fft::RunBluestein(Complex* data, Complex* scratch) const {
  const int64_t padded = forward_->size();
  Complex* const inner = scratch + padded;
  const Complex *chirp = chirp_->data(), *kernel = kernel_->data();
  for (int64_t i = 0; i < n_; ++i) scratch[i] = data[i] * chirp[i];
  std::fill(scratch + n_, scratch + padded, Complex());
  forward_->Run(scratch, inner);
  for (int64_t i = 0; i < padded; ++i) scratch[i] = scratch[i] * kernel[i];
  backward_->Run(scratch, inner);
  for (int64_t i = 0; i < n_; ++i) data[i] = scratch[i] * chirp[i];
}

}  // namespace sluice
