#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/tap_sum.cpp"
#include "kernels/simd/tap_sum.h"

#include <algorithm>
#include <array>
#include <utility>

// Before all other headers of Highway.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/cache_control.h>
#include <hwy/highway.h>
// clang-format on
#include "kernels/simd/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using V = hn::Vec<Tag>;

// Sums of this many positions by two vectors of channels fill the registers.
#if HWY_TARGET <= HWY_AVX3
constexpr int kRows = 14;
#else
constexpr int kRows = 6;
#endif

// Products that a sum takes up in a register before it is added to what came before: long sums in one
// register lose a digit more than that.
constexpr int64_t kSummed = 64;

// sums[row][vector of channels] over all taps and channels.
template <int block, int rows, int vectors>
void Sum(const TapSum& s, const TapBlock& b, float* HWY_RESTRICT sums) {
  const Tag d;
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(Tag()));
  constexpr int64_t kWidth = 2 * kLanes;
  V acc[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) acc[r][v] = hn::Zero(d);
  }
  int64_t left = kSummed / block;
  bool begun = false;
  const auto add_to_sums = [&]() HWY_ATTR {
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < vectors; ++v) {
        float* sum = sums + r * kWidth + v * kLanes;
        hn::Store(begun ? hn::Add(hn::Load(d, sum), acc[r][v]) : acc[r][v], d, sum);
        acc[r][v] = hn::Zero(d);
      }
    }
    begun = true;
    left = kSummed / block;
  };
  for (int64_t t = 0; t < b.num_taps; ++t) {
    const float* HWY_RESTRICT src = s.src + b.src + b.taps[t].src;
    const float* HWY_RESTRICT weights = s.weights + b.taps[t].weights;
    for (int64_t c = 0; c < s.ic_blocks; ++c, src += b.src_step, weights += block * kWidth) {
#if HWY_COMPILER_GCC && !HWY_COMPILER_CLANG
#pragma GCC unroll 16
#endif
      for (int k = 0; k < block; ++k) {
        V w[vectors];
        for (int v = 0; v < vectors; ++v) {
          w[v] = hn::Load(d, weights + k * kWidth + v * kLanes);
          hwy::Prefetch(weights + (block + k) * kWidth + v * kLanes);
        }
        if (k < rows) hwy::Prefetch(src + b.src_step + k * block);
        for (int r = 0; r < rows; ++r) {
          const V x = hn::Set(d, src[r * block + k]);
          for (int v = 0; v < vectors; ++v) acc[r][v] = hn::MulAdd(x, w[v], acc[r][v]);
        }
      }
      if (--left == 0) add_to_sums();
    }
  }
  if (!begun || left < kSummed / block) add_to_sums();
}

using SumFn = void (*)(const TapSum&, const TapBlock&, float*);

template <int block, int vectors, size_t... rows>
constexpr std::array<SumFn, kRows> SumsOf(std::index_sequence<rows...>) {
  return {&Sum<block, static_cast<int>(rows) + 1, vectors>...};
}

// Adds the bias, applies the ops and writes the sums to their places.
void Finish(const TapSum& s, const TapBlock& b, float* sums) {
  const Tag d;
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(Tag()));
  constexpr int64_t kWidth = 2 * kLanes;
  for (int64_t c = 0; c < kWidth && c < s.channels; c += kLanes) {
    const int64_t channel = c / s.block * s.dst_step + c % s.block;
    float* column = sums + c;
    if (s.bias != nullptr) {
      const V bias = hn::LoadU(d, s.bias + c);
      for (int r = 0; r < b.count; ++r)
        hn::Store(hn::Add(hn::Load(d, column + r * kWidth), bias), d, column + r * kWidth);
    }
    for (int i = 0; i < s.num_ops; ++i) {
      const VectorOp& op = s.ops[i];
      WithVectorOp(d, op, [&](const auto& fn) HWY_ATTR {
        V y = hn::Zero(d);
        if (op.by_channel) y = hn::LoadU(d, op.operand + c);
        const bool full = op.operand != nullptr && !op.by_channel;
        for (int r = 0; r < b.count; ++r) {
          if (full) y = hn::LoadU(d, op.operand + b.dst[r] + channel);
          hn::Store(fn(hn::Load(d, column + r * kWidth), y), d, column + r * kWidth);
        }
      });
    }
    const bool tail = s.num_ops > 0 && c + kLanes > s.valid;
    for (int r = 0; r < b.count; ++r) {
      V x = hn::Load(d, column + r * kWidth);
      if (tail) x = KeepChannels(d, x, s.valid - c);
      hn::StoreU(x, d, s.dst + b.dst[r] + channel);
    }
  }
}

template <int block>
void SumBlocks(const TapSum& s, const TapBlock* blocks, int64_t num_blocks) {
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(Tag()));
  static constexpr auto kOne = SumsOf<block, 1>(std::make_index_sequence<kRows>());
  static constexpr auto kTwo = SumsOf<block, 2>(std::make_index_sequence<kRows>());
  const auto& sums = s.channels <= kLanes ? kOne : kTwo;
  HWY_ALIGN float values[kRows * 2 * kLanes];
  for (int64_t i = 0; i < num_blocks; ++i) {
    sums[static_cast<size_t>(blocks[i].count - 1)](s, blocks[i], values);
    Finish(s, blocks[i], values);
  }
}

void Run(const TapSum& s, const TapBlock* blocks, int64_t num_blocks) {
  if (s.block == 16)
    SumBlocks<16>(s, blocks, num_blocks);
  else
    SumBlocks<8>(s, blocks, num_blocks);
}

int64_t Rows() { return kRows; }
int64_t Panel() { return 2 * static_cast<int64_t>(hn::Lanes(Tag())); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(Run);
HWY_EXPORT(Rows);
HWY_EXPORT(Panel);

int64_t TapRows() { return HWY_DYNAMIC_DISPATCH(Rows)(); }
int64_t TapLeastRows() { return TapRows() / 2; }
int64_t TapPanel() { return HWY_DYNAMIC_DISPATCH(Panel)(); }

void SumTaps(const TapSum& sum, const TapBlock* blocks, int64_t num_blocks) {
  HWY_DYNAMIC_DISPATCH(Run)(sum, blocks, num_blocks);
}

}  // namespace sluice
#endif  // HWY_ONCE
