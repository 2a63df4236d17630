#include "tools/compare_runs.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <set>

#include "sluice/error.h"
#include "tests/e2e/tiny_model.h"
#include "tools/npy.h"

namespace sluice::tools {
namespace {

using test::TinyNode;

Session Load(const std::vector<TinyNode>& nodes, bool passes = true) {
  const std::string bytes = test::Model(nodes, {{"x", 1, {"64"}}}, {{"y", 1, {"64"}}});
  SessionOptions options;
  options.passes = passes;
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

const std::vector<TinyNode> kChain = {
    {"Exp", {"x"}, {"a"}}, {"Sin", {"a"}, {"b"}}, {"Cos", {"b"}, {"c"}}, {"Tanh", {"c"}, {"y"}}};

NamedValues Input() {
  Tensor x(DataType::kFloat, {64});
  for (int i = 0; i < 64; ++i)
    x.mutable_values<float>()[static_cast<size_t>(i)] = static_cast<float>(i % 7) * 0.3f;
  return {{"x", x}};
}

std::set<std::string> NamesOf(const RunComparison& comparison) {
  std::set<std::string> names;
  for (const ComparedValue& value : comparison.values) names.insert(value.name);
  return names;
}

TEST(CompareRuns, ValuesOfOneName) {
  const RunComparison comparison = CompareSessions(Load(kChain), Load(kChain, false), Input(), {});
  EXPECT_TRUE(NamesOf(comparison).contains("y"));
  EXPECT_EQ(FirstDivergence(comparison), nullptr);
}

TEST(CompareRuns, FindsTheFirstThatDiffers) {
  std::vector<TinyNode> other = kChain;
  other[2].op = "Sinh";
  const RunComparison comparison = CompareSessions(Load(other, false), Load(kChain, false), Input(), {});
  EXPECT_EQ(NamesOf(comparison), (std::set<std::string>{"a", "b", "c", "y"}));
  ASSERT_NE(FirstDivergence(comparison), nullptr);
  EXPECT_EQ(FirstDivergence(comparison)->name, "c");
  EXPECT_EQ(FirstDivergence(comparison)->op, "Sinh");
  EXPECT_EQ(comparison.values[0].name, "a");
  EXPECT_EQ(comparison.values[0].errors.max_abs, 0);
}

TEST(CompareRuns, KeepsNoMoreValuesThanAsked) {
  CompareOptions options;
  options.memory_bytes = 64 * 4;  // one of them
  const RunComparison comparison =
      CompareSessions(Load(kChain, false), Load(kChain, false), Input(), options);
  EXPECT_EQ(comparison.values.size(), 4u);
  EXPECT_EQ(comparison.runs, 1 + 2 * 4);
}

TEST(CompareRuns, CountsWhatOneSideAloneHas) {
  std::vector<TinyNode> other = kChain;
  other[1].outputs = {"q"};
  other[2].inputs = {"q"};
  const RunComparison comparison = CompareSessions(Load(other, false), Load(kChain, false), Input(), {});
  EXPECT_EQ(comparison.only_got, 1);
  EXPECT_EQ(comparison.only_want, 1);
}

class CompareFolder : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sluice-compare-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string Path(const std::string& name) const { return dir_ + "/" + name; }

  std::string dir_;
};

TEST_F(CompareFolder, TakesExpectedTensors) {
  const Session session = Load(kChain, false);
  std::map<std::string, Tensor> values;
  RunOptions watch;
  watch.observer = [&](const ObservedValue& seen) { values[seen.name] = seen.value->tensor().Clone(); };
  session.Run(Input(), {}, watch);
  WriteNpy(Path("b.npy"), values.at("b"));
  values.at("c").mutable_values<float>()[3] += 1;
  WriteNpy(Path("c.npy"), values.at("c"));
  WriteNpy(Path("other.npy"), values.at("a"));
  const RunComparison comparison = CompareWithFolder(session, dir_, Input(), {});
  EXPECT_EQ(NamesOf(comparison), (std::set<std::string>{"b", "c"}));
  ASSERT_NE(FirstDivergence(comparison), nullptr);
  EXPECT_EQ(FirstDivergence(comparison)->name, "c");
  EXPECT_EQ(comparison.unused, std::vector<std::string>{"other.npy"});
}

TEST_F(CompareFolder, RefusesFoldersThatNameNothing) {
  WriteNpy(Path("other.npy"), Tensor::Scalar<float>(1));
  EXPECT_THROW(CompareWithFolder(Load(kChain), dir_, Input(), {}), Error);
}

}  // namespace
}  // namespace sluice::tools
