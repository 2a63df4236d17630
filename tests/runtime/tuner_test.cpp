#include "runtime/tuner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "graph/builder.h"
#include "graph/export.h"
#include "sluice/session.h"

namespace sluice {
namespace {

// x [1, 16, 12, 12] -> Conv 3x3 with LeakyRelu -> y.
std::string Model() {
  Graph graph;
  GraphBuilder builder(graph, 13);
  const ValueId x = graph.AddValue("x", ValueType::Of(DataType::kFloat, ToSymShape(Shape{1, 16, 12, 12})));
  graph.inputs = {x};
  Tensor weights(DataType::kFloat, {24, 16, 3, 3});
  float value = 0.3f;
  for (float& w : weights.mutable_values<float>()) w = value = 0.37f - 0.83f * value;
  const ValueId conv =
      builder.Op("Conv", {x, builder.Constant("w", weights)}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  graph.outputs = {builder.Op("LeakyRelu", {conv}, {{"alpha", 0.1f}})};
  graph.ir_version = 8;
  return ExportOnnxBytes(graph);
}

class TunerTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "tuning_" + std::to_string(getpid()) + ".txt";
    std::filesystem::remove(path_);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::string FileText() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  Tensor RunWith(const std::string& file) const {
    SessionOptions options;
    options.threads = 2;
    options.tuning_file = file;
    const std::string model = Model();
    const Session session = Session::LoadBytes(std::as_bytes(std::span(model)), options);
    Tensor x(DataType::kFloat, {1, 16, 12, 12});
    float value = 0.9f;
    for (float& element : x.mutable_values<float>()) element = value = 0.71f - 0.67f * value;
    return session.Run({{"x", x}}).begin()->second.tensor();
  }

  std::string path_;
};

TEST_F(TunerTest, RemembersAChoiceAndKeepsResults) {
  const Tensor expected = RunWith(""), tuned = RunWith(path_);
  for (size_t i = 0; i < expected.values<float>().size(); ++i) {
    ASSERT_NEAR(tuned.values<float>()[i], expected.values<float>()[i], 1e-4) << i;
  }
  const std::string text = FileText();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_NE(text.find("\tConv "), std::string::npos) << text;
  EXPECT_NE(text.find("+LeakyRelu(0.1)"), std::string::npos) << text;
  // Nothing is measured again, so nothing is written, and the bits stay.
  const Tensor again = RunWith(path_);
  EXPECT_EQ(FileText(), text);
  EXPECT_TRUE(
      std::equal(again.values<float>().begin(), again.values<float>().end(), tuned.values<float>().begin()));
}

// Each form of Winograd can be the choice, also one that the cost model declines: here both are told to have
// been the fastest.
TEST_F(TunerTest, TakesEveryFormOfAKernel) {
  const Tensor expected = RunWith("");
  RunWith(path_);
  const std::string line = FileText(), key = line.substr(0, line.rfind('\t') + 1);
  for (const std::string kernel : {"winograd 2x2", "winograd 4x4", "direct"}) {
    std::ofstream(path_) << key << kernel << '\n';
    const Tensor tuned = RunWith(path_);
    EXPECT_EQ(FileText(), key + kernel + '\n') << "measured again";
    for (size_t i = 0; i < expected.values<float>().size(); ++i)
      ASSERT_NEAR(tuned.values<float>()[i], expected.values<float>()[i], 1e-4) << i;
  }
}

TEST_F(TunerTest, MeasuresAnewWhereTheKernelRememberedIsGone) {
  RunWith(path_);
  const std::string text = FileText();
  std::ofstream(path_, std::ios::app) << text.substr(0, text.rfind('\t') + 1) << "no such kernel\n";
  RunWith(path_);
  const std::string after = FileText();
  EXPECT_EQ(std::count(after.begin(), after.end(), '\n'), 3) << after;
}

TEST_F(TunerTest, PassesOverWhatItCannotRead) {
  std::ofstream(path_) << "garbage\n\t\t\t\t\n\x01\x02 half a li";
  EXPECT_NO_THROW(RunWith(path_));
}

TEST_F(TunerTest, RefusesAFileThatCannotBeWritten) {
  try {
    RunWith("/no/such/folder/tuning.txt");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("/no/such/folder/tuning.txt"), std::string::npos);
  }
}

}  // namespace
}  // namespace sluice
