#include "kernels/simd/direct_conv.h"

#include <hwy/aligned_allocator.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/kernels/simd_targets.h"

// Runs of direct convolutions against sums in double, on every instruction set of this processor.

namespace sluice::test {
namespace {

struct Case {
  int64_t planes, depth, last_depth, kh, kw, stride, count, vectors;
  bool bias = false, resume = false, leaky = false, operand = false, two_lines = false;
};

void Check(const Case& c, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const auto noise = [&](int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random);
    return values;
  };
  const int64_t panel = DirectConvPanel(), lanes = panel / 2;
  const int64_t line_outputs = c.two_lines ? c.count / 2 : c.count;
  const int64_t width = (line_outputs - 1) * c.stride + c.kw, rows = (c.two_lines ? c.stride : 0) + c.kh;
  const std::vector<float> src = noise(c.planes * rows * width * c.depth);
  const int64_t channels = (c.planes - 1) * c.depth + c.last_depth;
  const std::vector<float> values = noise(channels * c.kh * c.kw * panel);
  auto weights = hwy::AllocateAligned<float>(values.size());
  std::copy(values.begin(), values.end(), weights.get());
  const std::vector<float> bias = noise(panel);
  // Channels that are not wanted, and what lies behind the run, keep their bits.
  const int64_t vector_at = c.count * lanes + 5;
  std::vector<float> dst = noise(2 * vector_at + lanes);
  const std::vector<float> before = dst;
  DirectConvRun run{};
  run.src = src.data();
  run.planes = c.planes, run.depth = c.depth, run.last_depth = c.last_depth;
  run.plane_stride = rows * width * c.depth;
  run.kh = c.kh, run.kw = c.kw;
  run.row_stride = width * c.depth, run.col_stride = c.depth, run.step = c.stride * c.depth;
  run.gap = c.two_lines ? c.stride * run.row_stride - line_outputs * run.step : 0;
  run.weights = weights.get();
  run.bias = c.bias ? bias.data() : nullptr;
  run.dst = dst.data(), run.dst_step = lanes, run.dst_vector = vector_at;
  run.count = c.count, run.vectors = c.vectors;
  run.resume = c.resume;
  run.ahead = weights.get(), run.ahead_passes = 3;
  if (c.leaky) run.ops.activation = SumOps::Activation::kLeaky, run.ops.slope = 0.25f;
  const std::vector<float> operand = noise(static_cast<int64_t>(dst.size()));
  if (c.operand) run.ops.operand = operand.data();
  RunDirectConv(run);
  for (size_t i = 0; i < dst.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i), v = at / vector_at, output = at % vector_at / lanes;
    if (v >= c.vectors || output >= c.count) {
      ASSERT_EQ(dst[i], before[i]) << i;
      continue;
    }
    const int64_t oc = v * lanes + at % vector_at % lanes;
    double sum = c.resume ? before[i] : c.bias ? bias[static_cast<size_t>(oc)] : 0;
    int64_t w = 0;
    for (int64_t p = 0; p < c.planes; ++p) {
      for (int64_t y = 0; y < c.kh; ++y) {
        for (int64_t x = 0; x < c.kw; ++x) {
          for (int64_t k = 0; k < (p + 1 < c.planes ? c.depth : c.last_depth); ++k, ++w) {
            const int64_t row = output / line_outputs * c.stride + y,
                          col = output % line_outputs * c.stride + x;
            sum += static_cast<double>(
                       src[static_cast<size_t>(((p * rows + row) * width + col) * c.depth + k)]) *
                   static_cast<double>(values[static_cast<size_t>(w * panel + oc)]);
          }
        }
      }
    }
    if (c.leaky && sum < 0) sum *= 0.25;
    if (c.operand) sum += operand[i];
    ASSERT_NEAR(dst[i], sum, 1e-6 * static_cast<double>(w + 4)) << i;
  }
}

TEST(DirectConv, AgreesWithTheSum) {
  OnEveryTarget([] {
    std::mt19937 random(7);
    const auto draw = [&](int64_t least, int64_t most) {
      return least + static_cast<int64_t>(random() % static_cast<uint32_t>(most - least + 1));
    };
    for (uint32_t seed = 0; seed < 120 && !testing::Test::HasFailure(); ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      Case c{draw(1, 3), draw(1, 16), 0, draw(1, 3), draw(1, 4), draw(1, 3), draw(1, 45), draw(1, 2)};
      c.last_depth = draw(1, c.depth);
      c.bias = random() % 2 == 0, c.resume = random() % 4 == 0, c.leaky = random() % 2 == 0;
      c.operand = random() % 3 == 0;
      c.two_lines = random() % 3 == 0;
      if (c.two_lines) c.count = 2 * draw(1, DirectConvOutputs() / 2);
      Check(c, seed);
    }
  });
}

TEST(DirectConv, InterleavesChannels) {
  OnEveryTarget([] {
    for (int64_t channels : {1, 2, 3, 4, 7}) {
      for (int64_t n : {0, 1, 15, 16, 17, 50}) {
        std::vector<float> src(static_cast<size_t>(channels * 60)),
            dst(static_cast<size_t>(channels * n + 1), -1.0f);
        for (size_t i = 0; i < src.size(); ++i) src[i] = static_cast<float>(i);
        InterleaveFloats(src.data(), 60, channels, n, dst.data());
        for (int64_t i = 0; i < n * channels; ++i)
          ASSERT_EQ(dst[static_cast<size_t>(i)], src[static_cast<size_t>(i % channels * 60 + i / channels)]);
        ASSERT_EQ(dst.back(), -1.0f);
      }
    }
  });
}

}  // namespace
}  // namespace sluice::test
