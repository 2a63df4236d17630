#include "tools/model_args.h"

#include <gtest/gtest.h>

#include <set>

#include "sluice/error.h"
#include "tools/compare.h"
#include "tools/files.h"

namespace sluice::tools {
namespace {

ValueInfo Info(std::string name, DataType type, Shape shape) {
  ValueInfo info;
  info.name = std::move(name);
  info.dtype = type;
  info.has_shape = true;
  info.shape = std::move(shape);
  return info;
}

TEST(ParseShape, ReadsSizesAndOpenOnes) {
  EXPECT_EQ(ParseShape("1x3x64x64"), (Shape{1, 3, 64, 64}));
  EXPECT_EQ(ParseShape("?x3x-1"), (Shape{-1, 3, -1}));
  EXPECT_EQ(ParseShape("0"), Shape{0});
  EXPECT_EQ(ParseShape("scalar"), Shape{});
  for (const char* text : {"", "x", "1x", "1xx2", "-2", "1,2", "1x99999999999999999999"}) {
    EXPECT_THROW(ParseShape(text), Error) << text;
  }
}

TEST(ParseAssignment, FindsTheNameEvenWithEqualsSignsInIt) {
  const std::vector<ValueInfo> values = {Info("a", DataType::kFloat, {1}), Info("b=c", DataType::kFloat, {1})};
  EXPECT_EQ(ParseAssignment("a=x=y.npy", values, "input").rest, "x=y.npy");
  EXPECT_EQ(ParseAssignment("b=c=f.npy", values, "input").rest, "f.npy");
  EXPECT_EQ(ParseAssignment("f.npy", {values[0]}, "input").value->name, "a");
  for (const char* text : {"d=f.npy", "f.npy"}) {
    try {
      ParseAssignment(text, values, "input");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("'a' float [1], 'b=c' float [1]"), std::string::npos) << error.what();
    }
  }
}

TEST(Noise, IsTheSameForTheSameSeed) {
  const ValueInfo info = Info("x", DataType::kFloat, {-1, 100});
  EXPECT_TRUE(Compare(Noise(info, 5), Noise(info, 5), {.rtol = 0, .atol = 0}).equal);
  EXPECT_FALSE(Compare(Noise(info, 5), Noise(info, 6), {}).equal);
  EXPECT_EQ(Noise(info, 5).tensor().shape(), (Shape{1, 100}));
}

TEST(Noise, FillsEveryType) {
  for (int type = 1; type <= 26; ++type) {
    const Value value = Noise(Info("x", static_cast<DataType>(type), {3}), 1);
    EXPECT_EQ(value.tensor().dtype(), static_cast<DataType>(type));
  }
  ValueInfo sequence = Info("x", DataType::kFloat, {});
  sequence.is_sequence = true;
  EXPECT_THROW(Noise(sequence, 1), Error);
  ValueInfo map = Info("x", DataType::kFloat, {});
  map.is_map = true;
  map.key_type = DataType::kInt64;
  EXPECT_THROW(Noise(map, 1), Error);
  EXPECT_EQ(DescribeInfo(map), "map from int64 to float");
  map.is_sequence = true;
  EXPECT_EQ(DescribeInfo(map), "sequence of maps from int64 to float");
}

TEST(SafeFileName, StaysInTheFolderAndIsUnique) {
  std::set<std::string> taken;
  EXPECT_EQ(SafeFileName("output", taken), "output");
  EXPECT_EQ(SafeFileName("../../etc/passwd", taken), "_.._.._etc_passwd");
  EXPECT_EQ(SafeFileName("a/b:0", taken), "a_b_0");
  EXPECT_EQ(SafeFileName("a:b/0", taken), "a_b_0_1");
  EXPECT_EQ(SafeFileName("", taken), "_");
  EXPECT_EQ(SafeFileName("..", taken), "_..");
  EXPECT_LT(SafeFileName(std::string(5000, 'x'), taken).size(), 240u);
}

TEST(Extension, IsThatOfTheLastPart) {
  EXPECT_EQ(Extension("a.b/c.PNG"), ".png");
  EXPECT_EQ(Extension("a.b/c"), "");
}

}  // namespace
}  // namespace sluice::tools
