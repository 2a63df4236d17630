#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/direct_conv.cpp"
#include "kernels/simd/direct_conv.h"

#include "kernels/simd/unroll.h"

// The order matters: the first of these includes this file again for every instruction set.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/cache_control.h>
#include <hwy/highway.h>
#include "kernels/simd/sum_ops-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using V = hn::Vec<Tag>;

// Outputs whose sums for two vectors of channels stay in registers.
#if HWY_TARGET <= HWY_AVX3
constexpr int kRows = 14;
#else
constexpr int kRows = 6;
#endif
// Floats from one output's inputs to the next one's at stride 1 in this target's blocked layout.
constexpr int kBlock = HWY_TARGET <= HWY_AVX3 ? 16 : 8;

// Planes of a 1x1 convolution that are fetched ahead. A plane is 50 ns of work; what another core has just
// written takes up to 200 ns to arrive, and the runs of a plane are too short for the processor to foresee.
constexpr int64_t kAhead = 4;

// Of `rows` outputs of a 1x1 convolution, the plane kAhead planes on from `plane`, maybe of the next outputs.
template <int rows>
HWY_INLINE void FetchAhead(const DirectConvRun& run, const float* src, int64_t plane) {
  const int64_t next = plane + kAhead;
  const float* from = next < run.planes
                          ? src + next * run.plane_stride
                          : src + rows * run.step + (next - run.planes) % run.planes * run.plane_stride;
  for (int r = 0; r < rows; ++r) hwy::Prefetch(from + r * run.step);
}

// What a pass over the weights fetches: `lines` lines for every four channels of a tap.
struct Ahead {
  const float* from;
  int64_t lines;
};

// `depth` channels of one tap. kStep: the step where it is known to the compiler, which then needs one
// register for all outputs; 0 otherwise.
template <int kStep, int rows, int vectors>
HWY_INLINE void Accumulate(const float* HWY_RESTRICT src, int64_t any_step, int64_t gap, int64_t depth,
                           const float* HWY_RESTRICT& weights, Ahead& ahead, V (&sums)[rows * vectors]) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), step = kStep == 0 ? any_step : kStep;
  constexpr int kHalf = rows % 2 == 0 ? rows / 2 : rows;
  const float* HWY_RESTRICT second = src + kHalf * step + gap;
  const auto one = [&](int64_t k) HWY_ATTR {
    V w[vectors];
    for (int v = 0; v < vectors; ++v) w[v] = hn::Load(d, weights + v * lanes);
    weights += 2 * lanes;
    SLUICE_UNROLL
    for (int r = 0; r < rows; ++r) {
      const V x = hn::Set(d, r < kHalf ? src[r * step + k] : second[(r - kHalf) * step + k]);
      for (int v = 0; v < vectors; ++v) {
        V& sum = sums[r * vectors + v];
        sum = hn::MulAdd(x, w[v], sum);
      }
    }
  };
  int64_t k = 0;
  if (kStep != 0) {
    for (; k + 4 <= depth; k += 4) {
      for (int64_t i = 0; i < ahead.lines; ++i, ahead.from += 16) __builtin_prefetch(ahead.from, 0, 2);
      for (int64_t i = 0; i < 4; ++i) one(k + i);
    }
  }
  for (; k < depth; ++k) one(k);
}

// All taps of all channels.
template <int kStep, int rows, int vectors>
HWY_INLINE void AccumulateAll(const DirectConvRun& run, const float* src, Ahead ahead,
                              V (&sums)[rows * vectors]) {
  const bool single = run.kh == 1 && run.kw == 1;
  const float* weights = run.weights;
  for (int64_t plane = 0; plane < run.planes; ++plane) {
    if (single) FetchAhead<rows>(run, src, plane);
    const int64_t depth = plane + 1 < run.planes ? run.depth : run.last_depth;
    for (int64_t i = 0; i < run.kh; ++i) {
      for (int64_t j = 0; j < run.kw; ++j) {
        const float* from = src + plane * run.plane_stride + i * run.row_stride + j * run.col_stride;
        Accumulate<kStep, rows, vectors>(from, run.step, run.gap, depth, weights, ahead, sums);
      }
    }
  }
}

// Outputs [first, first + rows) of the run.
template <int rows, int vectors>
void Outputs(const DirectConvRun& run, int64_t first, const Ahead& ahead) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  float* dst = run.dst + first * run.dst_step;
  const float* operand = run.ops.operand == nullptr ? nullptr : run.ops.operand + first * run.dst_step;
  const auto place = [&](int i) { return i / vectors * run.dst_step + i % vectors * run.dst_vector; };
  V sums[rows * vectors];
  SLUICE_UNROLL
  for (int i = 0; i < rows * vectors; ++i) {
    sums[i] = run.resume            ? hn::LoadU(d, dst + place(i))
              : run.bias == nullptr ? hn::Zero(d)
                                    : hn::LoadU(d, run.bias + i % vectors * lanes);
  }
  if (run.kh == 1 && run.kw == 1) {
    // What the stores at the end will need, for the same reason.
    SLUICE_UNROLL
    for (int i = 0; i < rows * vectors; ++i) __builtin_prefetch(dst + place(i), 1);
    if (operand != nullptr) {
      SLUICE_UNROLL
      for (int i = 0; i < rows * vectors; ++i) hwy::Prefetch(operand + place(i));
    }
  }
  const float* src = run.src + first * run.step;
  if (run.step == kBlock)
    AccumulateAll<kBlock, rows, vectors>(run, src, ahead, sums);
  else if (run.step == 2 * kBlock)
    AccumulateAll<2 * kBlock, rows, vectors>(run, src, ahead, sums);
  else
    AccumulateAll<0, rows, vectors>(run, src, ahead, sums);
  ApplySumOps(d, run.ops, sums, [&](int i) { return operand + place(i); });
  SLUICE_UNROLL
  for (int i = 0; i < rows * vectors; ++i) hn::StoreU(sums[i], d, dst + place(i));
}

// The outputs from `first` on in `blocks` blocks that differ in size by at most one; none has more than
// `rows`.
template <int rows, int vectors>
void Blocks(const DirectConvRun& run, int64_t first, int64_t blocks, Ahead& ahead, int64_t pass) {
  while (blocks > 0 && (run.count - first + blocks - 1) / blocks == rows) {
    Outputs<rows, vectors>(run, first, ahead);
    ahead.from += pass;
    first += rows;
    --blocks;
  }
  if constexpr (rows > 1) {
    if (blocks > 0) Blocks<rows - 1, vectors>(run, first, blocks, ahead, pass);
  }
}

void DirectRun(const DirectConvRun& run) {
  const int64_t blocks = (run.count + kRows - 1) / kRows, width = 2 * static_cast<int64_t>(hn::Lanes(Tag()));
  const int64_t channels = ((run.planes - 1) * run.depth + run.last_depth) * run.kh * run.kw;
  Ahead ahead{nullptr, 0};
  if (run.ahead != nullptr) ahead.lines = (width / 4 + run.ahead_passes - 1) / run.ahead_passes;
  const int64_t pass = ahead.lines * channels / 4 * 16;
  if (run.ahead != nullptr) ahead.from = run.ahead + run.ahead_done * pass;
  if (run.vectors == 1)
    Blocks<kRows, 1>(run, 0, blocks, ahead, pass);
  else
    Blocks<kRows, 2>(run, 0, blocks, ahead, pass);
}

void InterleaveOf(const float* src, int64_t stride, int64_t channels, int64_t n, float* dst) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  if (channels == 3) {
    for (; i + lanes <= n; i += lanes) {
      const float* from = src + i;
      hn::StoreInterleaved3(hn::LoadU(d, from), hn::LoadU(d, from + stride), hn::LoadU(d, from + 2 * stride),
                            d, dst + i * 3);
    }
  }
  int64_t c = 0;
#if HWY_TARGET != HWY_SCALAR
  // Squares of four.
  const hn::FixedTag<float, 4> four;
  const int64_t columns = i + (n - i) / 4 * 4;
  for (; c + 4 <= channels; c += 4) {
    const float* from = src + c * stride;
    for (int64_t j = i; j < columns; j += 4) {
      const auto a = hn::LoadU(four, from + j), b = hn::LoadU(four, from + stride + j),
                 e = hn::LoadU(four, from + 2 * stride + j), f = hn::LoadU(four, from + 3 * stride + j);
      const auto ab_low = hn::InterleaveLower(four, a, b), ab_high = hn::InterleaveUpper(four, a, b),
                 ef_low = hn::InterleaveLower(four, e, f), ef_high = hn::InterleaveUpper(four, e, f);
      float* to = dst + j * channels + c;
      hn::StoreU(hn::ConcatLowerLower(four, ef_low, ab_low), four, to);
      hn::StoreU(hn::ConcatUpperUpper(four, ef_low, ab_low), four, to + channels);
      hn::StoreU(hn::ConcatLowerLower(four, ef_high, ab_high), four, to + 2 * channels);
      hn::StoreU(hn::ConcatUpperUpper(four, ef_high, ab_high), four, to + 3 * channels);
    }
    for (int64_t j = columns; j < n; ++j) {
      for (int64_t k = 0; k < 4; ++k) dst[j * channels + c + k] = from[k * stride + j];
    }
  }
#endif
  for (; c < channels; ++c) {
    for (int64_t j = i; j < n; ++j) dst[j * channels + c] = src[c * stride + j];
  }
}

int64_t DirectPanel() { return 2 * static_cast<int64_t>(hn::Lanes(Tag())); }
int64_t DirectRows() { return kRows; }

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {
HWY_EXPORT(DirectPanel);
HWY_EXPORT(DirectRows);
HWY_EXPORT(DirectRun);
HWY_EXPORT(InterleaveOf);

int64_t DirectConvPanel() { return HWY_DYNAMIC_DISPATCH(DirectPanel)(); }
int64_t DirectConvOutputs() { return HWY_DYNAMIC_DISPATCH(DirectRows)(); }
void RunDirectConv(const DirectConvRun& run) { HWY_DYNAMIC_DISPATCH(DirectRun)(run); }
void InterleaveFloats(const float* src, int64_t stride, int64_t channels, int64_t n, float* dst) {
  HWY_DYNAMIC_DISPATCH(InterleaveOf)(src, stride, channels, n, dst);
}

}  // namespace sluice
#endif  // HWY_ONCE
