#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/dot_taps.cpp"
#include <algorithm>

#include "kernels/simd/tap_sum.h"

// Before all other headers of Highway.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on
#include "kernels/simd/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors of partial sums that the registers hold beside a vector of weights for each channel.
#if HWY_TARGET <= HWY_AVX3
constexpr int kSums = 24;
#else
constexpr int kSums = 9;
#endif
// Positions of a TapBlock, in whole vectors.
constexpr int64_t kMaxRows = 16;

// values[channel * kMaxRows + row] over all taps and channels, for `rows` positions from `first` on.
template <int block, int channels, int rows>
void Dot(const TapSum& s, const TapBlock& b, int64_t first, float* values) {
  using Tag = hn::CappedTag<float, block>;
  using V = hn::Vec<Tag>;
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  V acc[rows][channels];
  for (int r = 0; r < rows; ++r) {
    for (int o = 0; o < channels; ++o) acc[r][o] = hn::Zero(d);
  }
  for (int64_t t = 0; t < b.num_taps; ++t) {
    const float* HWY_RESTRICT src = s.src + b.src + first * block + b.taps[t].src;
    const float* HWY_RESTRICT weights = s.weights + b.taps[t].weights;
    for (int64_t c = 0; c < s.ic_blocks; ++c, src += b.src_step, weights += channels * block) {
      for (int64_t k = 0; k < block; k += lanes) {
        V w[channels];
        for (int o = 0; o < channels; ++o) w[o] = hn::LoadU(d, weights + o * block + k);
        for (int r = 0; r < rows; ++r) {
          const V x = hn::LoadU(d, src + r * block + k);
          for (int o = 0; o < channels; ++o) acc[r][o] = hn::MulAdd(x, w[o], acc[r][o]);
        }
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int o = 0; o < channels; ++o)
      values[o * kMaxRows + first + r] = hn::GetLane(hn::SumOfLanes(d, acc[r][o]));
  }
}

template <int block, int channels>
void DotBlocks(const TapSum& s, const TapBlock* blocks, int64_t num_blocks) {
  constexpr int kRows = std::min(kSums / channels, 14);
  const hn::CappedTag<float, static_cast<size_t>(kMaxRows)> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN float values[channels * kMaxRows] = {};
  HWY_ALIGN float operand[kMaxRows] = {};
  for (int64_t i = 0; i < num_blocks; ++i) {
    const TapBlock& b = blocks[i];
    int64_t r = 0;
    for (; r + kRows <= b.count; r += kRows) Dot<block, channels, kRows>(s, b, r, values);
    if (r < b.count && b.count >= kRows) {
      // Some once more, with the same result.
      Dot<block, channels, kRows>(s, b, b.count - kRows, values);
    } else {
      for (; r < b.count; ++r) Dot<block, channels, 1>(s, b, r, values);
    }
    for (int64_t o = 0; o < channels; ++o) {
      float* of = values + o * kMaxRows;
      for (int64_t j = 0; j < b.count && s.bias != nullptr; ++j) of[j] += s.bias[o];
      for (int k = 0; k < s.num_ops; ++k) {
        const VectorOp& op = s.ops[k];
        for (int64_t j = 0; j < b.count && op.operand != nullptr; ++j)
          operand[j] = op.by_channel ? op.operand[o] : op.operand[b.dst[j] + o * s.dst_step];
        WithVectorOp(d, op, [&](const auto& fn) HWY_ATTR {
          for (int64_t j = 0; j < b.count; j += lanes)
            hn::Store(fn(hn::Load(d, of + j), hn::Load(d, operand + j)), d, of + j);
        });
      }
      for (int64_t j = 0; j < b.count; ++j) s.dst[b.dst[j] + o * s.dst_step] = of[j];
    }
  }
}

template <int block>
void DotAny(const TapSum& s, const TapBlock* blocks, int64_t num_blocks) {
  switch (s.channels) {
    case 1:
      return DotBlocks<block, 1>(s, blocks, num_blocks);
    case 2:
      return DotBlocks<block, 2>(s, blocks, num_blocks);
    case 3:
      return DotBlocks<block, 3>(s, blocks, num_blocks);
    default:
      return DotBlocks<block, 4>(s, blocks, num_blocks);
  }
}

void Run(const TapSum& s, const TapBlock* blocks, int64_t num_blocks) {
  if (s.block == 16)
    DotAny<16>(s, blocks, num_blocks);
  else
    DotAny<8>(s, blocks, num_blocks);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(Run);

void DotTaps(const TapSum& sum, const TapBlock* blocks, int64_t num_blocks) {
  HWY_DYNAMIC_DISPATCH(Run)(sum, blocks, num_blocks);
}

}  // namespace sluice
#endif  // HWY_ONCE
