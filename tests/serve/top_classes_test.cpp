#include "tools/serve/top_classes.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/half.h"

namespace sluice::serve {
namespace {

InferResponse Top(Tensor scores, int64_t top, const std::vector<std::string>& labels = {}) {
  std::vector<ValueInfo> infos(1);
  infos[0].name = "y";
  NamedValues outputs;
  outputs.emplace("y", std::move(scores));
  InferResponse response;
  AddTop(outputs, infos, top, labels, response);
  return response;
}

template <typename T>
std::vector<T> Values(const InferResponse& response, size_t output) {
  const auto values = response.outputs.at(output).second.values<T>();
  return {values.begin(), values.end()};
}

template <typename T>
Tensor Scores(const Shape& shape, DataType type, const std::vector<float>& values) {
  Tensor tensor(type, shape);
  for (size_t i = 0; i < values.size(); ++i) tensor.mutable_values<T>()[i] = static_cast<T>(values[i]);
  return tensor;
}

TEST(TopClassesTest, TheBestOfEachRowComeFirst) {
  const InferResponse response =
      Top(Scores<float>({2, 3}, DataType::kFloat, {1, 3, 2, 5, 4, 5}), 2, {"a", "b"});
  EXPECT_EQ(response.outputs.at(0).first, "top_scores");
  EXPECT_EQ(response.outputs.at(0).second.shape(), (Shape{2, 2}));
  EXPECT_EQ(Values<float>(response, 0), (std::vector<float>{3, 2, 5, 5}));
  EXPECT_EQ(Values<int64_t>(response, 1), (std::vector<int64_t>{1, 2, 0, 2}));
  EXPECT_EQ(Values<std::string>(response, 2), (std::vector<std::string>{"b", "2", "a", "2"}));
}

TEST(TopClassesTest, FewerClassesAndValuesThatAreNoNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const InferResponse response = Top(Scores<float>({3}, DataType::kFloat, {nan, -1, 1}), 5);
  EXPECT_EQ(Values<int64_t>(response, 1), (std::vector<int64_t>{2, 1, 0}));
}

TEST(TopClassesTest, OtherFloatsAndClassesBeforeASizeOfOne) {
  const InferResponse half = Top(Scores<Half>({1, 3, 1, 1}, DataType::kFloat16, {0.25F, 0.5F, 0.125F}), 2);
  EXPECT_EQ(half.outputs.at(0).second.shape(), (Shape{1, 2}));
  EXPECT_EQ(Values<float>(half, 0), (std::vector<float>{0.5F, 0.25F}));
  EXPECT_EQ(Values<int64_t>(half, 1), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(Values<int64_t>(Top(Scores<double>({2, 1}, DataType::kDouble, {7, 8}), 1), 1),
            (std::vector<int64_t>{0, 0}));
}

TEST(TopClassesTest, NumbersThatAreNoScoresAreRefused) {
  EXPECT_THROW(Top(Tensor(DataType::kInt32, {3}), 1), ServeError);
}

}  // namespace
}  // namespace sluice::serve
