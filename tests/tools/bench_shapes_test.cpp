#include "tools/bench_shapes.h"

#include <gtest/gtest.h>

namespace sluice::tools {
namespace {

TEST(BenchShapes, ReadsCountRangeAndStep) {
  RandomShapes shapes = ParseRandomShapes("random:2000");
  EXPECT_EQ(shapes.count, 2000);
  EXPECT_EQ(shapes.low, 32);
  EXPECT_EQ(shapes.high, 160);
  EXPECT_EQ(shapes.step, 1);
  shapes = ParseRandomShapes("random:7:64-256/32");
  EXPECT_EQ(shapes.count, 7);
  EXPECT_EQ(shapes.low, 64);
  EXPECT_EQ(shapes.high, 256);
  EXPECT_EQ(shapes.step, 32);
}

TEST(BenchShapes, RefusesWhatItCannotRead) {
  for (const char* text : {"", "2000", "random", "random:", "random:0", "random:-1", "random:5:", "random:5:3",
                           "random:5:3-", "random:5:4-3", "random:5:33-63/32", "random:5:1-2/0", "random:5:1-2/1x",
                           "random:99999999999999999999"}) {
    EXPECT_THROW(ParseRandomShapes(text), Error) << text;
  }
}

TEST(BenchShapes, DrawsOpenSizesOnceForEveryName) {
  ValueInfo x, y;
  x.name = "x";
  x.shape = {-1, 3, -1, -1};
  x.dim_names = {"n", "", "h", "w"};
  y.name = "y";
  y.shape = {-1, -1, -1};
  y.dim_names = {"n", "h", ""};
  bool varied = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto drawn = DrawShapes({x, y}, {.count = 1, .low = 30, .high = 100, .step = 8}, seed);
    const Shape &a = drawn.at("x"), &b = drawn.at("y");
    EXPECT_GE(a[0], 1);
    EXPECT_LE(a[0], 4);
    EXPECT_EQ(a[1], 3);
    for (int64_t size : {a[2], a[3], b[2]}) {
      EXPECT_GE(size, 32);
      EXPECT_LE(size, 96);
      EXPECT_EQ(size % 8, 0);
    }
    EXPECT_EQ(b[0], a[0]);
    EXPECT_EQ(b[1], a[2]);
    varied |= a[2] != a[3];
    EXPECT_EQ(drawn, DrawShapes({x, y}, {.count = 1, .low = 30, .high = 100, .step = 8}, seed));
  }
  EXPECT_TRUE(varied);
}

TEST(ModelArgs, ByteCounts) {
  EXPECT_EQ(ParseByteCount("0"), 0);
  EXPECT_EQ(ParseByteCount("123"), 123);
  EXPECT_EQ(ParseByteCount("512M"), int64_t{512} << 20);
  EXPECT_EQ(ParseByteCount("3K"), 3072);
  EXPECT_EQ(ParseByteCount("2G"), int64_t{2} << 30);
  for (const char* text : {"", "M", "-1", "1.5G", "1m", "1 M", "9999999999G", "12MB"}) {
    EXPECT_THROW(ParseByteCount(text), Error) << text;
  }
}

}  // namespace
}  // namespace sluice::tools
