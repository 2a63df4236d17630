#include "tools/weight_facts.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

namespace sluice::tools {
namespace {

std::map<std::string, std::string> FactsOf(const std::vector<float>& values) {
  const auto facts = WeightFacts(Tensor::From<float>({static_cast<int64_t>(values.size())}, values));
  return {facts.begin(), facts.end()};
}

TEST(WeightFacts, OfMany) {
  auto facts = FactsOf({-2, 0, 0, 1, 1, 2, 4, 2});
  EXPECT_EQ(facts["min"], "-2");
  EXPECT_EQ(facts["max"], "4");
  EXPECT_EQ(facts["mean"], "1");
  EXPECT_EQ(facts["std"], "1.658");  // sqrt(22 / 8)
  EXPECT_EQ(facts["zeros"], "25.0 %");
  EXPECT_EQ(facts["negative"], "12.5 %");
  EXPECT_EQ(facts.count("NaN or infinite"), 0u);
}

TEST(WeightFacts, DeviationAboutALargeMean) {
  std::vector<float> values(1000, 1e6f);
  for (size_t i = 0; i < values.size(); i += 2) values[i] += 1;
  EXPECT_EQ(FactsOf(values)["std"], "0.5");
}

TEST(WeightFacts, LeavesOutWhatIsNotFinite) {
  const float inf = std::numeric_limits<float>::infinity();
  auto facts = FactsOf({inf, -inf, std::numeric_limits<float>::quiet_NaN(), 1, 1, 1, 1, 1});
  EXPECT_EQ(facts["NaN or infinite"], "37.5 %");
  EXPECT_EQ(facts["max"], "1");
  EXPECT_EQ(FactsOf(std::vector<float>(9, inf)).size(), 1u);
}

TEST(WeightFacts, OfFewAndOfNone) {
  EXPECT_EQ(FactsOf({1, 2.5f})["values"], "1, 2.5");
  EXPECT_TRUE(FactsOf({}).empty());
  EXPECT_TRUE(WeightFacts(Tensor::From<std::string>({1}, std::vector<std::string>{"a"})).empty());
}

}  // namespace
}  // namespace sluice::tools
