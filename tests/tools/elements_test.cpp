#include "tools/elements.h"

#include <gtest/gtest.h>

#include <limits>

#include "tools/terminal.h"

namespace sluice::tools {
namespace {

TEST(Percentile, InterpolatesBetweenSamples) {
  EXPECT_EQ(Percentile({}, 0.5), 0);
  EXPECT_EQ(Percentile({3}, 0.99), 3);
  EXPECT_EQ(Percentile({1, 2, 4}, 0.5), 2);
  EXPECT_EQ(Percentile({1, 2, 4, 8}, 0.5), 3);
  EXPECT_EQ(Percentile({1, 2, 4, 8}, 0), 1);
  EXPECT_EQ(Percentile({1, 2, 4, 8}, 1), 8);
  EXPECT_DOUBLE_EQ(Percentile({0, 10}, 0.9), 9);
}

TEST(Summarize, LeavesNanOut) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Summary summary = Summarize(Tensor::From<float>({4}, std::vector<float>{nan, -1, 4, 3}));
  EXPECT_TRUE(summary.known);
  EXPECT_EQ(summary.min, -1);
  EXPECT_EQ(summary.max, 4);
  EXPECT_EQ(summary.mean, 2);
  EXPECT_EQ(summary.nans, 1);
  EXPECT_FALSE(Summarize(Tensor(DataType::kFloat, {0})).known);
  EXPECT_FALSE(Summarize(Tensor(DataType::kString, {2})).known);
}

TEST(PlaceOf, CountsRowMajor) {
  EXPECT_EQ(PlaceOf(7, {2, 3, 2}), (Shape{1, 0, 1}));
  EXPECT_EQ(PlaceOf(0, {}), Shape{});
}

TEST(PackNarrow, KeepsLowBitsFirst) {
  const Tensor tensor = PackNarrow(DataType::kUInt4, {3}, {1, 2, 15});
  EXPECT_EQ(static_cast<const uint8_t*>(tensor.data())[0], 0x21);
  EXPECT_EQ(UnpackNarrow(tensor), (std::vector<uint8_t>{1, 2, 15}));
  EXPECT_EQ(UnpackNarrow(PackNarrow(DataType::kInt2, {2}, {0xff, 1})), (std::vector<uint8_t>{0xff, 1}));
}

TEST(Format, ChoosesUnits) {
  EXPECT_EQ(FormatMs(0.0123), "12.3 us");
  EXPECT_EQ(FormatMs(12.34), "12.3 ms");
  EXPECT_EQ(FormatMs(1234), "1.23 s");
  EXPECT_EQ(FormatBytes(999), "999 bytes");
  EXPECT_EQ(FormatBytes(2.25e9), "2.25 GB");
  EXPECT_EQ(FormatTable({{"a", "bb"}, {"ccc", "1"}}), "a    bb\nccc   1\n");
}

}  // namespace
}  // namespace sluice::tools
