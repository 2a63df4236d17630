#include "kernels/simd/winograd.h"

#include <hwy/aligned_allocator.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/simd/winograd_form.h"
#include "tests/kernels/simd_targets.h"

// Winograd's convolutions against sums in double, on every instruction set of this processor.

namespace sluice {
namespace {

std::vector<float> Noise(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

struct Case {
  int64_t n, ic, oc, h, w, pad_top, pad_left, pad_bottom, pad_right;
};

// Element of a blocked tensor [n, c, h, w] with `blocks` blocks of channels.
size_t At(int64_t block, int64_t blocks, int64_t h, int64_t w, int64_t n, int64_t c, int64_t y, int64_t x) {
  return static_cast<size_t>((((n * blocks + c / block) * h + y) * w + x) * block + c % block);
}

class Convolution {
 public:
  Convolution(const Case& c, int m, int64_t block, uint32_t seed, int kernel = 3, int stride = 1,
              bool late = false)
      : c_(c), kernel_(kernel), stride_(stride) {
    s_.m = m, s_.kernel = kernel, s_.stride = stride, s_.late = late;
    s_.block = block;
    s_.ic_blocks = (c.ic + block - 1) / block;
    s_.oc_blocks = (c.oc + block - 1) / block;
    s_.ih = c.h, s_.iw = c.w;
    s_.oh = (c.h + c.pad_top + c.pad_bottom - kernel) / stride + 1;
    s_.ow = (c.w + c.pad_left + c.pad_right - kernel) / stride + 1;
    s_.pad_top = c.pad_top, s_.pad_left = c.pad_left;
    weights_ = Noise(static_cast<size_t>(c.oc * c.ic * kernel * kernel), seed);
    bias_ = Noise(static_cast<size_t>(s_.oc() + 64), seed + 1);
    const std::vector<float> values = Noise(static_cast<size_t>(c.n * c.ic * c.h * c.w), seed + 2);
    src_.assign(static_cast<size_t>(c.n * s_.ic() * c.h * c.w), 0.0f);
    size_t i = 0;
    for (int64_t n = 0; n < c.n; ++n)
      for (int64_t k = 0; k < c.ic; ++k)
        for (int64_t y = 0; y < c.h; ++y)
          for (int64_t x = 0; x < c.w; ++x) src_[At(block, s_.ic_blocks, c.h, c.w, n, k, y, x)] = values[i++];
    packed_ = hwy::AllocateAligned<float>(static_cast<size_t>(WinogradPackedElems(s_)));
    std::fill_n(packed_.get(), WinogradPackedElems(s_), 0.0f);
    for (int64_t panel = 0; panel < WinogradPanels(s_); ++panel) {
      WinogradPack(s_, weights_.data(), c.oc, c.ic, panel, packed_.get());
    }
    operand_ = Noise(static_cast<size_t>(c.n * s_.oc() * s_.oh * s_.ow), seed + 3);
  }

  // In groups of `group` tiles and single panels.
  std::vector<float> Run(std::vector<VectorOp> ops, int64_t group) const {
    for (VectorOp& op : ops) op.operand = operand_.data();
    std::vector<float> dst(static_cast<size_t>(c_.n * s_.oc() * s_.oh * s_.ow), -77.0f);
    const int64_t tiles = c_.n * s_.tile_rows() * s_.tile_cols(), panels = WinogradPanels(s_);
    auto scratch = hwy::AllocateAligned<float>(static_cast<size_t>(WinogradScratchElems(s_, group)));
    for (int64_t tile = 0; tile < tiles; tile += group) {
      for (int64_t panel = 0; panel < panels; ++panel) {
        WinogradRun(s_, src_.data(), packed_.get(), bias_.data(), ops.data(), static_cast<int>(ops.size()),
                    dst.data(), tile, std::min(group, tiles - tile), panel, 1, scratch.get());
      }
    }
    return dst;
  }

  double Reference(int64_t n, int64_t o, int64_t y, int64_t x) const {
    double sum = bias_[static_cast<size_t>(o)];
    for (int64_t k = 0; k < c_.ic; ++k) {
      for (int64_t i = 0; i < kernel_; ++i) {
        for (int64_t j = 0; j < kernel_; ++j) {
          const int64_t row = y * stride_ + i - c_.pad_top, col = x * stride_ + j - c_.pad_left;
          if (row < 0 || row >= c_.h || col < 0 || col >= c_.w) continue;
          sum += static_cast<double>(
                     weights_[static_cast<size_t>(((o * c_.ic + k) * kernel_ + i) * kernel_ + j)]) *
                 src_[At(s_.block, s_.ic_blocks, c_.h, c_.w, n, k, row, col)];
        }
      }
    }
    return sum;
  }

  template <typename Fn>
  void Expect(const std::vector<float>& got, const Fn& post, double bound = 5e-5) const {
    // Outputs are of magnitude sqrt(9 ic); the bound is the documented one, of the largest output.
    double largest = 0, worst = 0;
    for (int64_t n = 0; n < c_.n; ++n)
      for (int64_t o = 0; o < c_.oc; ++o)
        for (int64_t y = 0; y < s_.oh; ++y)
          for (int64_t x = 0; x < s_.ow; ++x) {
            const size_t at = At(s_.block, s_.oc_blocks, s_.oh, s_.ow, n, o, y, x);
            const double raw = Reference(n, o, y, x), want = post(raw, operand_[at]);
            largest = std::max({largest, std::abs(want), std::abs(raw)});
            worst = std::max(worst, std::abs(want - got[at]));
          }
    EXPECT_LE(worst, bound * largest);
  }

 private:
  Case c_;
  int kernel_, stride_;
  WinogradShape s_;
  std::vector<float> weights_, bias_, src_, operand_;
  hwy::AlignedFreeUniquePtr<float[]> packed_;
};

// fn(block) on every instruction set, with the block of channels that goes with it.
template <typename Fn>
void WithEveryBlock(const Fn& fn) {
  test::OnEveryTarget([&] { fn(WinogradPanel() >= 32 ? 16 : 8); });
}

TEST(Winograd, AgreesWithTheSumOnOddSizesAndTails) {
  const Case cases[] = {{1, 16, 16, 13, 13, 1, 1, 1, 1}, {2, 19, 37, 9, 7, 1, 1, 1, 1},
                        {1, 8, 70, 5, 4, 0, 0, 0, 0},    {1, 33, 8, 3, 3, 1, 1, 1, 1},
                        {3, 24, 24, 6, 18, 2, 0, 1, 2},  {1, 64, 40, 26, 26, 1, 1, 1, 1},
                        {1, 150, 40, 13, 13, 1, 1, 1, 1}};
  WithEveryBlock([&](int64_t block) {
    uint32_t seed = 1;
    for (const Case& c : cases) {
      for (int m : {2, 4, 5}) {
        if (m == 5 && WinogradLateTiles() == 0) continue;
        SCOPED_TRACE("m " + std::to_string(m) + ", ic " + std::to_string(c.ic) + ", oc " +
                     std::to_string(c.oc));
        const Convolution convolution(c, m, block, seed += 10, 3, 1, m == 5);
        convolution.Expect(convolution.Run({}, 7), [](double x, double) { return x; });
      }
    }
  });
}

TEST(Winograd, HasFormsOfOtherKernelsAndOfStride2) {
  struct Form {
    int m, kernel, stride;
  };
  const Case cases[] = {
      {2, 19, 37, 17, 14, 1, 1, 1, 1}, {1, 32, 24, 26, 9, 2, 0, 1, 2}, {1, 16, 16, 5, 5, 0, 0, 0, 0}};
  WithEveryBlock([&](int64_t block) {
    uint32_t seed = 7;
    for (const Form f : {Form{2, 4, 1}, {2, 5, 1}, {2, 3, 2}, {4, 3, 2}, {2, 4, 2}, {4, 4, 2}, {2, 5, 2}, {4, 5, 2}, {6, 3, 1},
                         {4, 4, 1}, {4, 5, 1}}) {
      for (const Case& c : cases) {
        SCOPED_TRACE("m " + std::to_string(f.m) + ", kernel " + std::to_string(f.kernel) + ", stride " +
                     std::to_string(f.stride) + ", ic " + std::to_string(c.ic));
        bool fast = false;
        ASSERT_TRUE(WithWinogradForm(f.m, f.kernel, f.stride, [&](const auto& form) { fast = form.fast; }));
        const Convolution convolution(c, f.m, block, seed += 10, f.kernel, f.stride);
        convolution.Expect(convolution.Run({}, 7), [](double x, double) { return x; }, fast ? 5e-4 : 5e-5);
      }
    }
  });
}

TEST(Winograd, AppliesOpsInOrder) {
  using Kind = PostOp::Kind;
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  WithEveryBlock([&](int64_t block) {
    const Convolution c({1, 16, 24, 10, 11, 1, 1, 1, 1}, 4, block, 5);
    c.Expect(c.Run({{Kind::kLeakyRelu, 0.1f, 0}}, 12), [](double x, double) { return x < 0 ? 0.1f * x : x; });
    c.Expect(c.Run({{Kind::kClip, 0, 6}}, 12),
             [](double x, double) { return std::min(std::max(x, 0.0), 6.0); });
    c.Expect(c.Run({{Kind::kLinear, 0.2f, 1}}, 12), [](double x, double) { return 0.2f * x + 1; });
    c.Expect(c.Run({{Kind::kSigmoid}}, 12), [&](double x, double) { return sigmoid(x); });
    c.Expect(c.Run({{Kind::kSilu, 1, 0}}, 12), [&](double x, double) { return x * sigmoid(x); });
    c.Expect(c.Run({{Kind::kAdd}, {Kind::kLeakyRelu, 0.5f, 0}}, 12),
             [](double x, double y) { return x + y < 0 ? 0.5 * (x + y) : x + y; });
    c.Expect(c.Run({{Kind::kLeakyRelu, 0.5f, 0}, {Kind::kMul}}, 12),
             [](double x, double y) { return (x < 0 ? 0.5 * x : x) * y; });
  });
}

TEST(Winograd, GroupsOfTilesGiveTheSameBits) {
  const int64_t block = WinogradPanel() >= 32 ? 16 : 8;
  const Convolution c({1, 32, 48, 17, 19, 1, 1, 1, 1}, 4, block, 9);
  const std::vector<float> all = c.Run({}, 25);
  for (int64_t group : {1, 5, 12, 13}) EXPECT_EQ(c.Run({}, group), all) << group;
  if (WinogradLateTiles() == 0) return;
  const Convolution late({1, 150, 48, 17, 13, 1, 1, 1, 1}, 5, block, 9, 3, 1, true);
  const std::vector<float> late_all = late.Run({}, 12);
  for (int64_t group : {1, 2, 5, 11}) EXPECT_EQ(late.Run({}, group), late_all) << group;
}

}  // namespace
}  // namespace sluice
