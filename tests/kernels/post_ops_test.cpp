#include "kernels/simd/post_ops.h"

#include <cmath>
#include <limits>
#include <vector>

#include "tests/kernels/ops/conv_reference.h"
#include "tests/kernels/post_op_samples.h"
#include "tests/kernels/simd_targets.h"

namespace sluice::test {
namespace {

using Kind = PostOp::Kind;

// Both signs, from 2^-40 to 80, and what is special.
std::vector<float> Arguments() {
  std::vector<float> values = {0.0f, -0.0f};
  for (double e = -40; e < 6.3; e += 0.003) {
    values.push_back(static_cast<float>(std::exp2(e)));
    values.push_back(-values.back());
  }
  return values;
}

TEST(PostOps, FunctionsAgreeWithDouble) {
  std::vector<PostOp> ops = UnaryPostOps();
  ops.push_back({Kind::kExp});
  const std::vector<float> src = Arguments();
  OnEveryTarget([&] {
    for (const PostOp& op : ops) {
      SCOPED_TRACE(ToString(op));
      std::vector<float> dst(src.size());
      MapFloats(op, src.data(), static_cast<int64_t>(src.size()), dst.data());
      for (size_t i = 0; i < src.size(); ++i) {
        const double want = ApplyPostOp(op, src[i], 0);
        ASSERT_NEAR(dst[i], want, 5e-7 * std::max(1.0, std::abs(want))) << src[i];
      }
    }
  });
}

TEST(PostOps, KeepNaNAndInfinity) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const float src[] = {nan, inf, -inf};
  OnEveryTarget([&] {
    const auto map = [&](const PostOp& op) {
      std::vector<float> dst(3);
      MapFloats(op, src, 3, dst.data());
      EXPECT_TRUE(std::isnan(dst[0])) << ToString(op);
      return std::pair(dst[1], dst[2]);
    };
    using Pair = std::pair<float, float>;
    EXPECT_EQ(map({Kind::kLeakyRelu, 0.5f}), Pair(inf, -inf));
    EXPECT_EQ(map({Kind::kLeakyRelu, 0.0f}), Pair(inf, 0.0f));
    EXPECT_EQ(map({Kind::kRelu}), Pair(inf, 0.0f));
    EXPECT_EQ(map({Kind::kClip, -1, 2}), Pair(2.0f, -1.0f));
    EXPECT_EQ(map({Kind::kSigmoid}), Pair(1.0f, 0.0f));
    EXPECT_EQ(map({Kind::kHardSigmoid, 0.2f, 0.5f}), Pair(1.0f, 0.0f));
    EXPECT_EQ(map({Kind::kTanh}), Pair(1.0f, -1.0f));
    EXPECT_EQ(map({Kind::kElu, 2}), Pair(inf, -2.0f));
    EXPECT_EQ(map({Kind::kExp}), Pair(inf, 0.0f));
    for (Kind kind : {Kind::kSilu, Kind::kHardSwish, Kind::kMish, Kind::kGeluErf, Kind::kGeluTanh})
      map({kind, 1, 0});
  });
}

TEST(PostOps, EveryLengthInPlace) {
  OnEveryTarget([] {
    for (int64_t n = 0; n < 70; ++n) {
      std::vector<float> x(static_cast<size_t>(n) + 1, -2.0f);
      MapFloats({Kind::kAbs}, x.data(), n, x.data());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(x[static_cast<size_t>(i)], 2.0f);
      ASSERT_EQ(x.back(), -2.0f);
    }
  });
}

TEST(PostOps, CombineWithPeriods) {
  OnEveryTarget([] {
    for (Kind kind : {Kind::kAdd, Kind::kMul, Kind::kPRelu}) {
      for (auto [period, n] : std::vector<std::pair<int64_t, int64_t>>{
               {1, 0}, {1, 1}, {1, 37}, {37, 37}, {8, 40}, {16, 96}, {24, 48}, {48, 96}}) {
        std::vector<float> x(static_cast<size_t>(n)), y(static_cast<size_t>(period));
        for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 20;
        for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(i) * 0.5f + 1;
        std::vector<float> got = x;
        CombineFloats(kind, got.data(), y.data(), period, n);
        for (size_t i = 0; i < x.size(); ++i)
          ASSERT_EQ(got[i], static_cast<float>(ApplyPostOp({kind}, x[i], y[i % y.size()])))
              << period << ' ' << i;
      }
    }
  });
}

}  // namespace
}  // namespace sluice::test
