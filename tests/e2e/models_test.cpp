// The built command on real models and on the model that the repository carries.
#include "tests/e2e/command.h"

#include <nlohmann/json.hpp>

#include "tools/picture.h"

namespace sluice::test {
namespace {

using nlohmann::json;

// A folder of real models with test data: SLUICE_MODELS, or models in a folder beside the checkout.
std::string ModelsFolder() {
  const char* folder = std::getenv("SLUICE_MODELS");
  return folder != nullptr ? folder : SLUICE_SOURCE_DIR "/../shared/models";
}

class RealModels : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    if (!std::filesystem::is_directory(ModelsFolder())) {
      GTEST_SKIP() << "no folder of models: " << ModelsFolder() << " (SLUICE_MODELS names another)";
    }
  }
};

TEST_F(RealModels, GiveTheExpectedOutputs) {
  const Outcome outcome = Sluice({"test", ModelsFolder()});
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find(" 0 failed, 0 skipped\n"), std::string::npos) << outcome.out;
}

TEST_F(RealModels, GiveTheExpectedOutputsAsWrittenOnOneThread) {
  const Outcome outcome = Sluice({"test", ModelsFolder(), "--passes", "off", "--threads", "1"});
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find(" 0 failed, 0 skipped\n"), std::string::npos) << outcome.out;
}

// The upscaler's output is twice the input without a margin of 7 pixels; on average it must look like
// the picture enlarged by other means.
TEST_F(RealModels, EnlargeAPicture) {
  const std::string model = ModelsFolder() + "/waifu2x-scale2x/model.onnx";
  const std::string source = ModelsFolder() + "/pictures/coffee.png";
  if (!std::filesystem::exists(model) || !std::filesystem::exists(source)) GTEST_SKIP() << "no " << model;
  const tools::Picture picture = tools::ReadPicture(source);
  const std::string shape = "1x3x" + std::to_string(picture.height) + "x" + std::to_string(picture.width);
  const Outcome inspect = Sluice({"inspect", model});
  ASSERT_EQ(inspect.status, 0) << inspect.err;
  const auto name_after = [&](const std::string& title) {
    const size_t begin = inspect.out.find(title + "\n  ") + title.size() + 3;
    return inspect.out.substr(begin, inspect.out.find(": ", begin) - begin);
  };
  const std::string input = name_after("inputs"), output = name_after("outputs");
  const Outcome outcome = Sluice({"run", model, "--input", input + "=" + source, "--shape", input + "=" + shape,
                                  "--save", output + "=" + Path("large.png")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const tools::Picture large = tools::ReadPicture(Path("large.png"));
  ASSERT_EQ(large.width, 2 * (picture.width - 14));
  ASSERT_EQ(large.height, 2 * (picture.height - 14));
  const tools::Picture plain = tools::Resize(picture, 2 * picture.width, 2 * picture.height);
  double difference = 0;
  for (int y = 0; y < large.height; ++y) {
    for (int x = 0; x < large.width; ++x) {
      for (int c = 0; c < 3; ++c) difference += std::abs(large.at(x, y)[c] - plain.at(x + 14, y + 14)[c]);
    }
  }
  EXPECT_LT(difference / static_cast<double>(large.rgb.size()), 5);
}

// The detector and the held-out picture that tools/demo.sh uses.
class BundledModel : public CommandTest {
 protected:
  const std::string model_ = SLUICE_SOURCE_DIR "/tools/data/shapes.onnx";
  const std::string picture_ = SLUICE_SOURCE_DIR "/tools/data/shapes.png";
};

TEST_F(BundledModel, DetectsTheSameWithAndWithoutPasses) {
  std::vector<json> results;
  for (const char* passes : {"on", "off"}) {
    const Outcome outcome = Sluice({"detect", model_, picture_, "--passes", passes, "--json", Path("d.json"), "--save",
                                    Path("drawn.png")});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    results.push_back(json::parse(Slurp(Path("d.json"))));
  }
  const tools::Picture picture = tools::ReadPicture(picture_), drawn = tools::ReadPicture(Path("drawn.png"));
  EXPECT_EQ(drawn.width, picture.width);
  EXPECT_NE(drawn.rgb, picture.rgb);
  ASSERT_EQ(results[0].size(), 1u);
  EXPECT_EQ(results[0][0]["picture"], picture_);
  const json &on = results[0][0]["detections"], &off = results[1][0]["detections"];
  ASSERT_GE(on.size(), 3u);
  ASSERT_EQ(on.size(), off.size());
  for (size_t i = 0; i < on.size(); ++i) {
    EXPECT_EQ(on[i]["label"], off[i]["label"]);
    EXPECT_NEAR(on[i]["score"].get<double>(), off[i]["score"].get<double>(), 1e-3);
    const auto box = on[i]["box"].get<std::vector<double>>();
    ASSERT_EQ(box.size(), 4u);
    EXPECT_LE(0, box[0]);
    EXPECT_LT(box[0], box[2]);
    EXPECT_LE(box[2], picture.width);
    EXPECT_LT(box[1], box[3]);
    EXPECT_LE(box[3], picture.height);
    for (size_t j = 0; j < 4; ++j) EXPECT_NEAR(box[j], off[i]["box"][j].get<double>(), 0.5);
  }
}

TEST_F(BundledModel, HasNoDetectionsAboveAThresholdOfOne) {
  const Outcome outcome = Sluice({"detect", model_, picture_, "--threshold", "1", "--json", Path("d.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json::parse(Slurp(Path("d.json")))[0]["detections"].size(), 0u);
}

TEST_F(BundledModel, RunsAPictureThatIsNoPictureNot) {
  Spill(Path("p.png"), "\x89PNG\r\n\x1a\n garbage");
  ExpectRefused({"detect", model_, Path("p.png")}, {"p.png", "PNG"});
  ExpectRefused({"detect", model_, Path("absent.png")}, {"absent.png"});
}

TEST_F(BundledModel, FusesLeakyReluIntoConvolution) {
  const Outcome outcome = Sluice({"inspect", model_, "--kernels", "--fusions"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("Conv + LeakyRelu(0.1)"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("1, 3, "), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace sluice::test
