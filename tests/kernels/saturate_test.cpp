#include "kernels/saturate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

template <typename T, typename From>
void TestLimits() {
  using Limits = std::numeric_limits<T>;
  const From infinity = std::numeric_limits<From>::infinity();
  EXPECT_EQ(Saturated<T>(infinity), Limits::max());
  EXPECT_EQ(Saturated<T>(-infinity), Limits::lowest());
  EXPECT_EQ(Saturated<T>(std::numeric_limits<From>::quiet_NaN()), 0);
  // The largest value of wide types is none of From: the next power of two is.
  EXPECT_EQ(Saturated<T>(static_cast<From>(Limits::max())), Limits::max());
  EXPECT_EQ(Saturated<T>(static_cast<From>(Limits::lowest())), Limits::lowest());
  const From above = std::ldexp(From(1), Limits::digits);
  EXPECT_EQ(Saturated<T>(above), Limits::max());
  EXPECT_EQ(Saturated<T>(std::nextafter(above, From(0))), static_cast<T>(std::nextafter(above, From(0))));
  EXPECT_EQ(Saturated<T>(From(2.75)), 2);
  EXPECT_EQ(Saturated<T>(From(-0.75)), 0);
}

template <typename T>
void TestBoth() {
  TestLimits<T, float>();
  TestLimits<T, double>();
}

TEST(SaturatedTest, IntegersStopAtTheirLimits) {
  TestBoth<int8_t>();
  TestBoth<uint8_t>();
  TestBoth<int16_t>();
  TestBoth<uint16_t>();
  TestBoth<int32_t>();
  TestBoth<uint32_t>();
  TestBoth<int64_t>();
  TestBoth<uint64_t>();
}

TEST(SaturatedTest, FloatsAreRounded) {
  EXPECT_EQ(Saturated<float>(1e300), std::numeric_limits<float>::infinity());
  EXPECT_EQ(Saturated<double>(0.5f), 0.5);
  EXPECT_EQ(static_cast<float>(Saturated<Half>(0.5)), 0.5f);
}

}  // namespace
}  // namespace sluice
