#include "tools/value_errors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/half.h"

namespace sluice::tools {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

Tensor Floats(const std::vector<float>& values) {
  return Tensor::From<float>({static_cast<int64_t>(values.size())}, values);
}

TEST(ValueErrors, AbsoluteAndRelative) {
  const ValueErrors errors = ErrorsOf(Floats({1, 2.5f, -4}), Floats({1, 2, -4.25f}));
  EXPECT_EQ(errors.count, 3);
  EXPECT_DOUBLE_EQ(errors.max_abs, 0.5);
  EXPECT_DOUBLE_EQ(errors.max_rel, 0.2);
  EXPECT_NEAR(errors.cosine, (1 + 5 + 17) / std::sqrt(1 + 6.25 + 16) / std::sqrt(1 + 4 + 18.0625), 1e-12);
}

TEST(ValueErrors, DistancesInFloats) {
  float next = 1;
  for (int i = 0; i < 5; ++i) next = std::nextafter(next, 2.0f);
  const ValueErrors errors =
      ErrorsOf(Floats({1, std::nextafter(1.0f, 0.0f), next, -0.0f, -1, 3}), Floats({1, 1, 1, 0.0f, 1, 3.5f}));
  EXPECT_EQ(errors.ulps, (std::array<int64_t, 9>{2, 1, 0, 1, 0, 0, 0, 0, 2}));
  EXPECT_EQ(FormatUlps(errors), "0: 33.3 %, 1: 16.7 %, 16: 16.7 %, more: 33.3 %");
}

TEST(ValueErrors, OfHalves) {
  Tensor a(DataType::kFloat16, {2}), b(DataType::kFloat16, {2});
  a.mutable_values<Half>()[0] = Half::FromBits(0x3c01);
  b.mutable_values<Half>()[0] = Half::FromBits(0x3c00);
  a.mutable_values<Half>()[1] = Half::FromBits(0x8001);
  b.mutable_values<Half>()[1] = Half::FromBits(0x0001);
  EXPECT_EQ(ErrorsOf(a, b).ulps, (std::array<int64_t, 9>{0, 1, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(ValueErrors, NaNAndInfinity) {
  EXPECT_EQ(ErrorsOf(Floats({kNaN, kInf}), Floats({kNaN, kInf})).max_abs, 0);
  EXPECT_EQ(ErrorsOf(Floats({kNaN, kInf, 1}), Floats({kNaN, kInf, 1})).not_finite, 2);
  EXPECT_EQ(ErrorsOf(Floats({kNaN}), Floats({1})).not_finite, 0);
  EXPECT_EQ(ErrorsOf(Floats({kNaN}), Floats({1})).max_abs, kInf);
  EXPECT_EQ(ErrorsOf(Floats({1}), Floats({-kInf})).max_rel, kInf);
  EXPECT_EQ(ErrorsOf(Floats({kNaN}), Floats({1})).ulps.back(), 1);
}

TEST(ValueErrors, OfZerosAndNothing) {
  EXPECT_EQ(ErrorsOf(Floats({0, 0}), Floats({0, 0})).cosine, 1);
  EXPECT_EQ(ErrorsOf(Floats({0, 0}), Floats({0, 1})).cosine, 0);
  EXPECT_EQ(ErrorsOf(Floats({}), Floats({})).count, 0);
}

TEST(ValueErrors, OfIntegers) {
  const ValueErrors errors = ErrorsOf(Tensor::From<int64_t>({2}, std::vector<int64_t>{1, 5}),
                                      Tensor::From<int64_t>({2}, std::vector<int64_t>{1, 2}));
  EXPECT_EQ(errors.max_abs, 3);
  EXPECT_EQ(FormatUlps(errors), "");
}

}  // namespace
}  // namespace sluice::tools
