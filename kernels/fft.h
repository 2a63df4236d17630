#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace sluice {

// Without the checks for infinities that std::complex's product makes.
struct Complex {
  double re = 0, im = 0;
};
inline Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
inline Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
inline Complex operator*(Complex a, Complex b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

// dst[k] = sum over i of src[i] * exp(sign * 2 pi j * i * k / n), sign -1 forward and +1 inverse (without the
// factor 1/n), in O(n log n) for every n >= 1: Stockham's algorithm where n is a product of small primes,
// otherwise Bluestein's. Thread-safe. The constructor throws Error{kOutOfMemory}.
class Fft {
 public:
  Fft() = default;
  Fft(int64_t n, bool inverse);

  int64_t size() const { return n_; }
  // Complex numbers of scratch that Run wants.
  int64_t scratch_elems() const;
  // In place.
  void Run(Complex* data, Complex* scratch) const;

 private:
  // One pass over the data: transforms of `radix` points, n / radix of them.
  struct Stage {
    int64_t radix;
    int64_t rest;             // points per transform that later stages combine
    int64_t done;             // product of the earlier radices
    const Complex* twiddles;  // [rest][radix - 1]
    const Complex* roots;     // of 1: [radix]
  };
  void RunStages(Complex* data, Complex* scratch) const;
  void RunBluestein(Complex* data, Complex* scratch) const;
  static void Pass(const Stage& stage, const Complex* src, Complex* dst, double sign);

  int64_t n_ = 1;
  double sign_ = -1;
  std::vector<Stage> stages_;
  // Bluestein: the transform as a convolution with a chirp, by transforms of a power of two.
  std::shared_ptr<const Fft> forward_, backward_;
  std::shared_ptr<const std::vector<Complex>> twiddles_, chirp_, kernel_;
};

}  // namespace sluice
