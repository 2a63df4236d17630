#include "kernels/simd/depthwise.h"

#include <hwy/aligned_allocator.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/simd/direct_conv.h"
#include "tests/kernels/simd_targets.h"

// Depthwise convolutions against sums in double, on every instruction set of this processor.

namespace sluice::test {
namespace {

using Activation = SumOps::Activation;

struct Case {
  int64_t kernel, stride, block, h, w, pad_top, pad_left, pad_bottom, pad_right;
  bool bias;
  SumOps ops;
  bool operand;

  int64_t oh() const { return (h + pad_top + pad_bottom - kernel) / stride + 1; }
  int64_t ow() const { return (w + pad_left + pad_right - kernel) / stride + 1; }
};

double Apply(const SumOps& ops, double x, double operand) {
  if (ops.operand_first) x += operand;
  if (ops.activation == Activation::kClamp) x = std::min(std::max<double>(x, ops.low), double{ops.high});
  if (ops.activation == Activation::kLeaky && x < 0) x *= ops.slope;
  return ops.operand_first ? x : x + operand;
}

void Check(const Case& c, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const auto noise = [&](int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random);
    return values;
  };
  const int64_t taps = c.kernel * c.kernel;
  const std::vector<float> src = noise(c.h * c.w * c.block), bias = noise(c.block),
                           values = noise(taps * c.block), operand = noise(c.oh() * c.ow() * c.block);
  auto weights = hwy::AllocateAligned<float>(values.size());
  std::copy(values.begin(), values.end(), weights.get());
  std::vector<float> dst = noise(c.oh() * c.ow() * c.block);
  const std::vector<float> before = dst;
  DepthwiseRun run;
  run.block = c.block;
  run.src = src.data(), run.ih = c.h, run.iw = c.w;
  run.dst = dst.data(), run.ow = c.ow();
  run.pad_top = c.pad_top, run.pad_left = c.pad_left;
  // Rows that are not asked for keep their bits.
  run.row = static_cast<int64_t>(random() % static_cast<uint32_t>(c.oh()));
  run.rows = 1 + static_cast<int64_t>(random() % static_cast<uint32_t>(c.oh() - run.row));
  run.weights = weights.get();
  run.bias = c.bias ? bias.data() : nullptr;
  run.ops = c.ops;
  if (c.operand) run.ops.operand = operand.data();
  RunDepthwise(c.kernel, c.stride, run);
  for (int64_t y = 0; y < c.oh(); ++y) {
    for (int64_t i = 0; i < c.ow() * c.block; ++i) {
      const auto at = static_cast<size_t>(y * c.ow() * c.block + i);
      if (y < run.row || y >= run.row + run.rows) {
        ASSERT_EQ(dst[at], before[at]) << y;
        continue;
      }
      const int64_t x = i / c.block, channel = i % c.block;
      double sum = c.bias ? bias[static_cast<size_t>(channel)] : 0;
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t row = y * c.stride + t / c.kernel - c.pad_top,
                      col = x * c.stride + t % c.kernel - c.pad_left;
        if (row < 0 || row >= c.h || col < 0 || col >= c.w) continue;
        sum += static_cast<double>(src[static_cast<size_t>((row * c.w + col) * c.block + channel)]) *
               static_cast<double>(values[static_cast<size_t>(t * c.block + channel)]);
      }
      ASSERT_NEAR(dst[at], Apply(c.ops, sum, c.operand ? operand[at] : 0),
                  1e-6 * static_cast<double>(taps + 4))
          << y << ' ' << x << ' ' << channel;
    }
  }
}

TEST(Depthwise, AgreesWithTheSum) {
  OnEveryTarget([] {
    std::mt19937 random(3);
    const auto draw = [&](int64_t least, int64_t most) {
      return least + static_cast<int64_t>(random() % static_cast<uint32_t>(most - least + 1));
    };
    for (uint32_t seed = 0; seed < 300 && !testing::Test::HasFailure(); ++seed) {
      Case c{};
      c.kernel = draw(0, 1) == 0 ? 3 : 5;
      c.stride = draw(1, 2);
      // Blocks are no narrower than a vector.
      c.block = DirectConvPanel() > 16 ? 16 : draw(1, 2) * 8;
      c.pad_top = draw(0, c.kernel - 1), c.pad_left = draw(0, c.kernel - 1);
      c.pad_bottom = draw(0, c.kernel - 1), c.pad_right = draw(0, c.kernel - 1);
      c.h = draw(std::max<int64_t>(1, c.kernel - c.pad_top - c.pad_bottom), 12);
      c.w = draw(std::max<int64_t>(1, c.kernel - c.pad_left - c.pad_right), 23);
      c.bias = draw(0, 1) == 0;
      c.ops.activation = static_cast<Activation>(draw(0, 2));
      c.ops.low = -0.5f, c.ops.high = 1.5f, c.ops.slope = 0.25f;
      c.operand = draw(0, 2) == 0;
      c.ops.operand_first = draw(0, 1) == 0;
      SCOPED_TRACE("seed " + std::to_string(seed) + " kernel " + std::to_string(c.kernel) + " stride " +
                   std::to_string(c.stride) + " block " + std::to_string(c.block));
      Check(c, seed);
    }
  });
}

TEST(Depthwise, ClampsInfinitiesAndKeepsNaN) {
  OnEveryTarget([] {
    const float infinity = std::numeric_limits<float>::infinity();
    constexpr int64_t kBlock = 16;
    auto weights = hwy::AllocateAligned<float>(9 * kBlock);
    std::fill_n(weights.get(), 9 * kBlock, 1.0f);
    std::vector<float> values = {-infinity, infinity, std::nanf(""), -3, 3, 7, 0, -0.0f}, dst(kBlock);
    values.resize(kBlock);
    DepthwiseRun run;
    run.block = kBlock;
    run.src = values.data(), run.ih = run.iw = run.ow = run.rows = run.pad_top = run.pad_left = 1;
    run.dst = dst.data();
    run.weights = weights.get();
    run.ops.activation = Activation::kClamp;
    run.ops.high = 6;
    RunDepthwise(3, 1, run);
    EXPECT_TRUE(std::isnan(dst[2]));
    dst[2] = 0;
    EXPECT_EQ(std::vector(dst.begin(), dst.begin() + 8), (std::vector<float>{0, 6, 0, 0, 3, 6, 0, 0}));
    run.ops.activation = Activation::kLeaky;
    run.ops.slope = 0.5f;
    RunDepthwise(3, 1, run);
    EXPECT_TRUE(std::isnan(dst[2]));
    dst[2] = 0;
    EXPECT_EQ(std::vector(dst.begin(), dst.begin() + 8),
              (std::vector<float>{-infinity, infinity, 0, -1.5f, 3, 7, 0, 0}));
  });
}

}  // namespace
}  // namespace sluice::test
