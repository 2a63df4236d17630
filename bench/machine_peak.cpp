#include "bench/machine_peak.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::bench {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Enough independent sums to hide the latency of a fused multiply-add (4 cycles, two a cycle).
constexpr int kSums = 12;
constexpr int64_t kRounds = 4'000'000;

// kRounds times kSums vectors, which differ, since a compiler computes equal ones once; returns something
// that depends on all of them. A macro, because the target of a function is an attribute that a template
// cannot take as an argument.
#define SLUICE_FMA_LOOP(name, target_attribute, bytes)                \
  target_attribute float name(float a, float b) {                     \
    typedef float Vector __attribute__((vector_size(bytes)));         \
    Vector va = {}, vb = {}, sums[kSums] = {};                        \
    va += a;                                                          \
    vb += b;                                                          \
    for (int i = 0; i < kSums; ++i) sums[i] += static_cast<float>(i); \
    for (int64_t round = 0; round < kRounds; ++round) {               \
      for (int i = 0; i < kSums; ++i) sums[i] = sums[i] * va + vb;    \
    }                                                                 \
    float total = 0;                                                  \
    for (int i = 0; i < kSums; ++i) total += sums[i][0];              \
    return total;                                                     \
  }
#if defined(__x86_64__)
SLUICE_FMA_LOOP(FmaLoop64, __attribute__((target("avx512f"))), 64)
SLUICE_FMA_LOOP(FmaLoop32, __attribute__((target("avx2,fma"))), 32)
#endif
SLUICE_FMA_LOOP(FmaLoop16, , 16)
#undef SLUICE_FMA_LOOP

}  // namespace

double MeasureFmaGflops() {
  float (*loop)(float, float) = FmaLoop16;
  int64_t floats = 4;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    loop = FmaLoop64;
    floats = 16;
  } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    loop = FmaLoop32;
    floats = 8;
  }
#endif
  double best = 0;
  volatile float a = 0.5f, b = 1.0f, sink = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const Clock::time_point begin = Clock::now();
    sink = loop(a, b);
    const double flops = 2.0 * kSums * static_cast<double>(kRounds * floats);
    best = std::max(best, flops / SecondsSince(begin) / 1e9);
  }
  static_cast<void>(sink);
  return best;
}

double MeasureReadGBps() {
  std::vector<uint64_t> words(size_t{256} << 17, 1);  // 256 MiB
  double best = 0;
  volatile uint64_t sink = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const Clock::time_point begin = Clock::now();
    uint64_t sums[8] = {};
    for (size_t i = 0; i < words.size(); i += 8) {
      for (size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
    }
    for (uint64_t sum : sums) sink = sink + sum;
    best = std::max(best, static_cast<double>(words.size() * sizeof(uint64_t)) / SecondsSince(begin) / 1e9);
  }
  return best;
}

}  // namespace sluice::bench
