#include "tools/check_in_parts.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "graph/darknet/import.h"
#include "graph/export.h"
#include "graph/infer.h"
#include "sluice/error.h"
#include "tools/check_conversion.h"
#include "tools/compare.h"
#include "tools/files.h"

namespace sluice::tools {
namespace {

// A detector whose head reshapes to the size of its input.
std::unique_ptr<Graph> Detector(int64_t size) {
  const std::string convolution =
      "[convolutional]\nbatch_normalize=1\nsize=3\npad=1\nactivation=leaky\nfilters=";
  const std::string cfg = "[net]\nchannels=3\nwidth=" + std::to_string(size) +
                          "\nheight=" + std::to_string(size) + "\n" + convolution + "64\n" + convolution +
                          "128\n" +
                          "[convolutional]\nfilters=14\nactivation=linear\n"
                          "[yolo]\nanchors=8,8,32,32\nmask=0,1\nnum=2\nclasses=2\n";
  DarknetOptions options;
  options.fold = false;
  auto graph = ImportDarknetText(cfg, "net.cfg", darknet::Weights(1), options);
  InferShapes(*graph);
  return graph;
}

class CheckInParts : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    file_ = (std::filesystem::temp_directory_path() / ("sluice_" + name + ".onnx")).string();
  }
  void TearDown() override { std::filesystem::remove(file_); }

  void Write(const Graph& graph) const { WriteFile(file_, ExportOnnxBytes(graph)); }
  // Adds to a number of the weights of the convolution whose name begins so.
  static void Spoil(Graph& graph, const std::string& node) {
    for (size_t i = 0; i < graph.num_values(); ++i) {
      Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
      if (constant.empty() || !graph.value(static_cast<ValueId>(i)).name.starts_with(node + "/weights"))
        continue;
      constant = constant.Clone();
      constant.mutable_values<float>()[0] += 0.5f;
      return;
    }
    FAIL() << "no weights of " << node;
  }

  static void Ignore(std::string_view) {}
  std::string file_;
};

TEST_F(CheckInParts, TakesSmallPicturesAndTheHeadAtItsSize) {
  const auto original = Detector(256);
  Write(*original);
  const auto outputs = RunInParts(*original, file_, Ignore);
  ASSERT_TRUE(outputs.has_value());
  ASSERT_EQ(outputs->size(), 2u);
  EXPECT_EQ((*outputs)[0].want.tensor().shape(), (Shape{1, 14, 64, 64}));
  EXPECT_EQ((*outputs)[1].name, "yolo_0");
  EXPECT_EQ((*outputs)[1].want.tensor().shape(), (Shape{1, 14, 256, 256}));
  for (const ComparedOutput& output : *outputs)
    EXPECT_TRUE(Compare(output.got, output.want, {}).equal) << output.name;
}

TEST_F(CheckInParts, LittleWorkIsDoneAtOnce) {
  const auto original = Detector(64);
  Write(*original);
  EXPECT_FALSE(RunInParts(*original, file_, Ignore).has_value());
}

// The message is of the run of the whole.
TEST_F(CheckInParts, SeesWrongWeights) {
  const auto original = Detector(256);
  auto wrong = original->Clone();
  Spoil(*wrong, "convolutional_1");
  Write(*wrong);
  try {
    CheckByRun(original->Clone(), file_, false, Ignore);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("output 'yolo_0'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace sluice::tools
