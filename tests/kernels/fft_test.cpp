#include "kernels/fft.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <numbers>
#include <random>

namespace sluice {
namespace {

std::vector<Complex> RandomSignal(int64_t n) {
  std::mt19937 engine(static_cast<uint32_t>(n));
  std::normal_distribution<double> normal;
  std::vector<Complex> signal(static_cast<size_t>(n));
  for (Complex& c : signal) c = {normal(engine), normal(engine)};
  return signal;
}

std::vector<Complex> Transformed(std::vector<Complex> signal, bool inverse) {
  const Fft fft(static_cast<int64_t>(signal.size()), inverse);
  std::vector<Complex> scratch(static_cast<size_t>(fft.scratch_elems()));
  fft.Run(signal.data(), scratch.data());
  return signal;
}

// Term k of the sum that defines the transform.
Complex Term(const std::vector<Complex>& signal, size_t k, bool inverse) {
  const size_t n = signal.size();
  long double re = 0, im = 0;
  for (size_t i = 0; i < n; ++i) {
    const long double angle = (inverse ? 2 : -2) * std::numbers::pi_v<long double> *
                              static_cast<long double>(i * k % n) / static_cast<long double>(n);
    re += signal[i].re * std::cos(angle) - signal[i].im * std::sin(angle);
    im += signal[i].re * std::sin(angle) + signal[i].im * std::cos(angle);
  }
  return {static_cast<double>(re), static_cast<double>(im)};
}

void ExpectSums(int64_t n, size_t every) {
  SCOPED_TRACE("n = " + std::to_string(n));
  const std::vector<Complex> signal = RandomSignal(n);
  const double tolerance =
      1e-14 * std::sqrt(static_cast<double>(n)) * (4 + std::log2(static_cast<double>(n)));
  for (const bool inverse : {false, true}) {
    const std::vector<Complex> got = Transformed(signal, inverse);
    for (size_t k = 0; k < got.size(); k += every) {
      const Complex want = Term(signal, k, inverse);
      ASSERT_NEAR(got[k].re, want.re, tolerance) << "term " << k;
      ASSERT_NEAR(got[k].im, want.im, tolerance) << "term " << k;
    }
  }
}

TEST(Fft, IsTheSumForEveryLength) {
  for (int64_t n = 1; n <= 140; ++n) {
    ExpectSums(n, 1);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Fft, IsTheSumForLongSignals) {
  // Powers, products of small primes, primes, a large prime in a product.
  for (int64_t n : {1024, 2187, 3125, 4096, 2401, 1331, 2197, 5040, 1009, 4099, 2 * 2003, 30030}) {
    ExpectSums(n, 97);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Fft, ThereAndBackIsTheSame) {
  for (int64_t n : {65536, 99991, 100000}) {
    const std::vector<Complex> signal = RandomSignal(n);
    const std::vector<Complex> back = Transformed(Transformed(signal, false), true);
    for (size_t i = 0; i < back.size(); ++i) {
      ASSERT_NEAR(back[i].re / static_cast<double>(n), signal[i].re, 1e-12);
      ASSERT_NEAR(back[i].im / static_cast<double>(n), signal[i].im, 1e-12);
    }
  }
}

// A prime of a million takes a fraction of a second, not the minutes of the sum.
TEST(Fft, TakesNoSquareOfTheLength) {
  const auto begin = std::chrono::steady_clock::now();
  Transformed(RandomSignal(1'000'003), false);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

}  // namespace
}  // namespace sluice
