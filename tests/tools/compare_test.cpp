#include "tools/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <limits>

#include "kernels/half.h"
#include "tools/elements.h"

namespace sluice::tools {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor F(const Shape& shape, const std::vector<float>& values) { return Tensor::From<float>(shape, values); }

bool Equal(const std::vector<float>& got, const std::vector<float>& want, const Tolerance& tolerance = {}) {
  return Compare(F({static_cast<int64_t>(got.size())}, got), F({static_cast<int64_t>(want.size())}, want), tolerance)
      .equal;
}

TEST(Compare, AllowsRelativeErrorAndAShareOfTheLargestMagnitude) {
  EXPECT_TRUE(Equal({1.0009f}, {1}));
  EXPECT_TRUE(Equal({1.00109f}, {1}));    // 1e-3 of the value and 1e-4 of the largest
  EXPECT_FALSE(Equal({1.0012f}, {1}));
  EXPECT_TRUE(Equal({100, 0.0099f}, {100, 0}));
  EXPECT_FALSE(Equal({100, 0.0101f}, {100, 0}));
  EXPECT_FALSE(Equal({1e-30f}, {0}));     // nothing but zeros expected
}

TEST(Compare, FollowsTheTolerancesGiven) {
  EXPECT_FALSE(Equal({100, 0.0099f}, {100, 0}, {.strict = true}));
  EXPECT_TRUE(Equal({100, 0.9e-7f}, {100, 0}, {.strict = true}));
  EXPECT_TRUE(Equal({100, 0.4f}, {100, 0}, {.atol = 0.5}));
  EXPECT_FALSE(Equal({100.6f}, {100}, {.rtol = 0, .atol = 0.5}));
  EXPECT_TRUE(Equal({109}, {100}, {.rtol = 0.1}));
}

TEST(Compare, NanEqualsNanAndInfinitiesThemselves) {
  EXPECT_TRUE(Equal({kNan, kInf, -kInf}, {kNan, kInf, -kInf}));
  EXPECT_FALSE(Equal({kInf}, {-kInf}));
  EXPECT_FALSE(Equal({kNan}, {1}));
  EXPECT_FALSE(Equal({1}, {kNan}));
  EXPECT_FALSE(Equal({kInf}, {1}));
  EXPECT_FALSE(Equal({1}, {kInf}));
  EXPECT_FALSE(Equal({kInf}, {3e38f}, {.rtol = 1}));
  // An infinity among what is expected does not loosen the rest.
  EXPECT_FALSE(Equal({kInf, 1.1f}, {kInf, 1}));
}

TEST(Compare, NamesTheLargestErrorAndItsPlace) {
  const Comparison result = Compare(F({2, 3}, {0, 0, 0, 0.5f, 7, 0}), F({2, 3}, {0, 0, 0, 1, 4, 0}), {});
  EXPECT_FALSE(result.equal);
  EXPECT_DOUBLE_EQ(result.largest_error, 3);
  EXPECT_NE(result.message.find("2 of 6 values differ, the largest error 3 is at [1, 1]: got 7, expected 4"),
            std::string::npos)
      << result.message;
}

TEST(Compare, IsWiderForSixteenBits) {
  const auto half = [](float value) {
    Tensor tensor(DataType::kFloat16, {1});
    tensor.mutable_values<Half>()[0] = value;
    return tensor;
  };
  EXPECT_TRUE(Compare(half(1.009f), half(1), {}).equal);
  EXPECT_FALSE(Compare(half(1.02f), half(1), {}).equal);
  EXPECT_FALSE(Compare(half(1.009f), half(1), {.strict = true}).equal);
}

TEST(Compare, WantsIntegersBooleansAndStringsExactly) {
  const auto ints = [](int64_t value) { return Tensor::From<int64_t>({1}, std::vector<int64_t>{value}); };
  EXPECT_TRUE(Compare(ints(1'000'000'007), ints(1'000'000'007), {}).equal);
  EXPECT_FALSE(Compare(ints(1'000'000'008), ints(1'000'000'007), {.rtol = 1, .atol = 1e9}).equal);
  const auto text = [](const char* value) { return Tensor::From<std::string>({}, std::vector<std::string>{value}); };
  EXPECT_TRUE(Compare(text("a"), text("a"), {}).equal);
  const Comparison strings = Compare(text("a"), text("b"), {});
  EXPECT_NE(strings.message.find("got 'a', expected 'b'"), std::string::npos) << strings.message;
  Tensor yes(DataType::kBool, {1}), no(DataType::kBool, {1});
  yes.mutable_values<bool>()[0] = true;
  no.mutable_values<bool>()[0] = false;
  EXPECT_TRUE(Compare(yes, yes, {}).equal);
  EXPECT_FALSE(Compare(yes, no, {}).equal);
}

TEST(Compare, LooksAtBothPartsOfComplexNumbers) {
  const auto complex = [](float re, float im) {
    Tensor tensor(DataType::kComplex64, {1, 2});
    auto* data = static_cast<float*>(tensor.mutable_data());
    data[0] = data[1] = 0;
    data[2] = re;
    data[3] = im;
    return tensor;
  };
  EXPECT_TRUE(Compare(complex(1, 2), complex(1, 2), {}).equal);
  const Comparison result = Compare(complex(1, 2.5f), complex(1, 2), {});
  EXPECT_NE(result.message.find("at [0, 1]"), std::string::npos) << result.message;
}

TEST(Compare, IgnoresThePaddingOfPackedTypes) {
  Tensor a = PackNarrow(DataType::kInt4, {3}, {1, 2, 3}), b = PackNarrow(DataType::kInt4, {3}, {1, 2, 3});
  static_cast<uint8_t*>(b.mutable_data())[1] |= 0xf0;
  EXPECT_TRUE(Compare(a, b, {}).equal);
  EXPECT_FALSE(Compare(a, PackNarrow(DataType::kInt4, {3}, {1, 2, 4}), {}).equal);
}

TEST(Compare, WantsTheSameTypesAndShapes) {
  EXPECT_NE(Compare(F({2}, {1, 2}), F({1, 2}, {1, 2}), {}).message.find("got float [2], expected float [1, 2]"),
            std::string::npos);
  EXPECT_FALSE(Compare(F({1}, {1}), Tensor::Scalar<int64_t>(1), {}).equal);
  EXPECT_TRUE(Compare(F({0, 3}, {}), F({0, 3}, {}), {}).equal);
}

TEST(Compare, GoesThroughSequences) {
  const Value two = Value::Sequence({F({1}, {1}), F({1}, {2})}, DataType::kFloat);
  const Value other = Value::Sequence({F({1}, {1}), F({1}, {3})}, DataType::kFloat);
  EXPECT_TRUE(Compare(two, two, {}).equal);
  EXPECT_NE(Compare(two, other, {}).message.find("item 1: "), std::string::npos);
  EXPECT_FALSE(Compare(two, Value::Sequence({}, DataType::kFloat), {}).equal);
  EXPECT_FALSE(Compare(two, F({1}, {1}), {}).equal);
  EXPECT_FALSE(Compare(F({1}, {1}), Value(), {}).equal);
  EXPECT_TRUE(Compare(Value(), Value(), {}).equal);
}

TEST(Digest, DependsOnTypeShapeAndEveryBit) {
  const uint64_t digest = Digest(F({2}, {1, 0}));
  EXPECT_EQ(Digest(F({2}, {1, 0})), digest);
  EXPECT_NE(Digest(F({2}, {1, -0.0f})), digest);
  EXPECT_NE(Digest(F({2, 1}, {1, 0})), digest);
  EXPECT_NE(Digest(F({2}, {1, 0}), digest), digest);
  EXPECT_NE(Digest(Tensor(DataType::kInt32, {2})), Digest(Tensor(DataType::kFloat, {2})));
  const auto text = [](std::vector<std::string> values) {
    return Digest(Tensor::From<std::string>({2}, std::move(values)));
  };
  EXPECT_NE(text({"ab", "c"}), text({"a", "bc"}));
  const Value one = F({1}, {1}), two = F({1}, {2});
  const auto sequence = [](std::vector<Value> items) { return Digest(Value::Sequence(std::move(items))); };
  EXPECT_NE(sequence({one, two}), sequence({two, one}));
  EXPECT_EQ(sequence({one, two}), sequence({one, two}));
}

TEST(Compare, GoesThroughMaps) {
  using Map = std::map<std::string, float>;
  const Value map = Value::Map(Map{{"a", 1}, {"b", 100}});
  EXPECT_TRUE(Compare(map, Value::Map(Map{{"a", 1.0005f}, {"b", 100}}), {}).equal);
  EXPECT_NE(Compare(map, Value::Map(Map{{"a", 2}, {"b", 100}}), {}).message.find("values: 1 of 2 values differ"),
            std::string::npos);
  EXPECT_NE(Compare(map, Value::Map(Map{{"a", 1}, {"c", 100}}), {}).message.find("keys: 1 of 2 values differ"),
            std::string::npos);
  EXPECT_NE(Compare(map, Value::Map(Map{{"a", 1}}), {}).message.find("keys: got string [2], expected string [1]"),
            std::string::npos);
  EXPECT_FALSE(Compare(map, Value::Map(std::map<std::string, double>{{"a", 1}, {"b", 100}}), {}).equal);
  EXPECT_EQ(Compare(map, F({2}, {1, 100}), {}).message, "got map of 2 (string to float), expected float [2]");
  EXPECT_TRUE(Compare(Value::Sequence({map, map}), Value::Sequence({map, map}), {}).equal);
}

TEST(CompareKinds, LooksAtTypesAndShapesAlone) {
  EXPECT_TRUE(CompareKinds(F({2}, {1, kNan}), F({2}, {5, 6})).equal);
  EXPECT_EQ(CompareKinds(F({2}, {1, 2}), F({1, 2}, {1, 2})).message, "got float [2], expected float [1, 2]");
  EXPECT_FALSE(CompareKinds(F({}, {1}), Tensor::Scalar(1.0)).equal);
  EXPECT_TRUE(CompareKinds(Value::Sequence({F({1}, {1})}), Value::Sequence({F({1}, {2})})).equal);
  EXPECT_FALSE(CompareKinds(Value::Sequence({F({1}, {1})}), Value::Sequence({F({2}, {1, 2})})).equal);
  EXPECT_FALSE(CompareKinds(Value(), F({1}, {1})).equal);
}

}  // namespace
}  // namespace sluice::tools
