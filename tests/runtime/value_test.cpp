#include <gtest/gtest.h>

#include <string>

#include "sluice/error.h"
#include "sluice/tensor.h"

// Value as a map.

namespace sluice::test {
namespace {

Tensor Ints(const std::vector<int64_t>& values) {
  return Tensor::From<int64_t>({static_cast<int64_t>(values.size())}, values);
}
Tensor Floats(const std::vector<float>& values) {
  return Tensor::From<float>({static_cast<int64_t>(values.size())}, values);
}

template <typename Fn>
std::string MessageOf(Fn fn) {
  try {
    fn();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "no error";
}

TEST(MapValue, IsThereAndBack) {
  const std::map<std::string, int64_t> map = {{"b", 2}, {"", -1}, {"a\0c", 3}};
  const Value value = Value::Map(map);
  EXPECT_TRUE(value.is_map());
  EXPECT_FALSE(value.is_tensor() || value.is_sequence() || value.is_none());
  EXPECT_EQ(value.element_type(), DataType::kInt64);
  EXPECT_EQ((value.ToMap<std::string, int64_t>()), map);
  EXPECT_TRUE((Value::Map(std::map<int64_t, double>{}).ToMap<int64_t, double>().empty()));
}

TEST(MapValue, SortsByKey) {
  const Value value = Value::Map(Ints({5, -1, 3}), Floats({50, -10, 30}));
  EXPECT_EQ((value.ToMap<int64_t, float>()), (std::map<int64_t, float>{{-1, -10}, {3, 30}, {5, 50}}));
  EXPECT_EQ(value.keys().values<int64_t>()[0], -1);
  EXPECT_EQ(value.mapped().values<float>()[0], -10);
}

TEST(MapValue, OwnsWhatItBorrowed) {
  std::vector<int64_t> keys = {1, 2};
  std::vector<double> values = {0.5, 0.25};
  const Value borrowed = Value::Map(Tensor::Borrow(DataType::kInt64, {2}, keys.data()),
                                    Tensor::Borrow(DataType::kDouble, {2}, values.data()));
  const Value sequence = Value::Sequence({borrowed}).Owned();
  keys = {7, 8};
  values = {0, 0};
  EXPECT_EQ(sequence.element_type(), DataType::kDouble);
  EXPECT_EQ((sequence.items()[0].ToMap<int64_t, double>()), (std::map<int64_t, double>{{1, 0.5}, {2, 0.25}}));
}

TEST(MapValue, Refuses) {
  EXPECT_EQ(MessageOf([] { Value::Map(Floats({1}), Floats({1})); }),
            "a map: keys are float [1], expected int64 or string [n]");
  EXPECT_EQ(MessageOf([] { Value::Map(Tensor::Scalar<int64_t>(1), Floats({1})); }),
            "a map: keys are int64 [], expected int64 or string [n]");
  EXPECT_EQ(MessageOf([] {
              Value::Map(Ints({1, 2}), Floats({1}));
            }),
            "a map: values are float [1], expected float, double, int64 or string [2]");
  EXPECT_EQ(MessageOf([] { Value::Map(Ints({1}), Tensor(DataType::kBool, {1})); }),
            "a map: values are bool [1], expected float, double, int64 or string [1]");
  EXPECT_EQ(MessageOf([] { Value::Map(Ints({2, 1, 2}), Ints({0, 0, 0})); }), "a map: key 2 is there twice");
  EXPECT_EQ(MessageOf([] {
              Value::Map(std::map<int64_t, float>{{1, 2}}).ToMap<std::string, float>();
            }),
            "a map: it is from int64 to float, read as one from string to float");
  EXPECT_EQ(MessageOf([] { Value(Floats({1})).ToMap<int64_t, float>(); }), "the value is no map");
}

}  // namespace
}  // namespace sluice::test
