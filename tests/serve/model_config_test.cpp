#include "tools/serve/model_config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sluice/error.h"

namespace sluice::serve {
namespace {

ModelConfig Apply(const std::string& text, const std::string& folder = "/nowhere") {
  ModelConfig config;
  ApplyModelJson(text, "m/model.json", folder, config);
  return config;
}

std::string Refused(const std::string& text) {
  ModelConfig config;
  config.max_queue = 77;
  try {
    ApplyModelJson(text, "m/model.json", "/nowhere", config);
  } catch (const Error& error) {
    EXPECT_EQ(config.max_queue, 77) << "changed though refused";
    EXPECT_EQ(std::string(error.what()).rfind("m/model.json: ", 0), 0u) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "taken: " << text;
  return "";
}

TEST(ModelConfig, ReadsEveryKey) {
  const ModelConfig config = Apply(R"({
    "max_batch_size": 8, "max_delay_us": 500, "max_queue": 9, "default_timeout_us": 1000, "max_timeout_us": 2000,
    "default_priority": 2, "warm_up": false, "shapes": {"x": [1, 3, -1, -1], "s": []},
    "pictures": {"letterbox": "416x320", "mean": [123.5, "116", 103], "scale": "1/255", "layout": "nhwc", "color": "bgr"},
    "detect": {"threshold": 0.5, "nms": 0.25}, "labels": ["cat", "dog"]})");
  EXPECT_EQ(config.max_batch_size, 8);
  EXPECT_EQ(config.max_delay_us, 500);
  EXPECT_EQ(config.max_queue, 9);
  EXPECT_EQ(config.default_timeout_us, 1000);
  EXPECT_EQ(config.max_timeout_us, 2000);
  EXPECT_EQ(config.default_priority, 2);
  EXPECT_FALSE(config.warm_up);
  EXPECT_EQ(config.shapes, (std::map<std::string, Shape>{{"x", {1, 3, -1, -1}}, {"s", {}}}));
  EXPECT_TRUE(config.pictures);
  EXPECT_TRUE(config.letterbox);
  EXPECT_EQ(config.picture.letterbox, "416x320");
  EXPECT_EQ(config.picture.mean, (std::vector<std::string>{"123.5", "116", "103"}));
  EXPECT_EQ(config.picture.scale, (std::vector<std::string>{"1/255"}));
  EXPECT_EQ(config.picture.layout, "nhwc");
  EXPECT_EQ(config.picture.color, "bgr");
  EXPECT_TRUE(config.detect);
  EXPECT_EQ(config.threshold, 0.5f);
  EXPECT_EQ(config.nms, 0.25f);
  EXPECT_EQ(config.labels, (std::vector<std::string>{"cat", "dog"}));
}

TEST(ModelConfig, LeavesWhatIsNotStated) {
  ModelConfig config;
  config.max_queue = 5;
  config.pictures = true;
  ApplyModelJson(R"({"max_delay_us": 1})", "p", "/", config);
  EXPECT_EQ(config.max_queue, 5);
  EXPECT_TRUE(config.pictures);
  ApplyModelJson(R"({"pictures": false})", "p", "/", config);
  EXPECT_FALSE(config.pictures);
  EXPECT_TRUE(Apply(R"({"detect": true})").pictures);
}

TEST(ModelConfig, NamesFileKeyAndExpectation) {
  const auto says = [](const std::string& text, const std::string& part) {
    const std::string message = Refused(text);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  says(R"({"max_batchsize": 8})", "unknown key 'max_batchsize', expected one of max_batch_size");
  says(R"({"pictures": {"means": 1}})", "unknown key 'pictures.means'");
  says(R"({"max_queue": 0})", "max_queue is 0, expected a whole number from 1");
  says(R"({"max_queue": "8"})", "max_queue is \"8\"");
  says(R"({"max_queue": 1.5})", "max_queue is 1.5");
  says(R"({"max_timeout_us": 18446744073709551615})", "max_timeout_us is 18446744073709551615");
  says(R"({"max_delay_us": -1})", "max_delay_us is -1");
  says(R"({"default_timeout_us": 3, "max_timeout_us": 2})", "expected at most max_timeout_us");
  says(R"({"default_priority": 0})", "default_priority is 0, expected a whole number from 1 to 100");
  says(R"({"warm_up": 1})", "expected true or false");
  says(R"({"pictures": {"color": "cmyk"}})", "pictures.color is \"cmyk\", expected one of auto, rgb");
  says(R"({"pictures": {"resize": "0x5"}})", "pictures.resize");
  says(R"({"pictures": {"resize": "5x5", "letterbox": true}})", "either resize or letterbox");
  says(R"({"pictures": {"letterbox": "5x5", "resize": "5x5"}})", "either resize or letterbox");
  says(R"({"pictures": {"mean": []}})", "pictures.mean");
  says(R"({"pictures": {"scale": "rm -rf"}})", "pictures.scale");
  says(R"({"detect": {"threshold": 2}})", "detect.threshold is 2, expected a number from 0 to 1");
  says(R"({"labels": "../secret"})", "labels");
  says(R"({"labels": ".hidden"})", "labels");
  says(R"({"labels": "not-there.txt"})", "expected a file that is there");
  says(R"({"labels": [1]})", "labels");
  says(R"({"shapes": {"x": [-2]}})", "shapes");
  says(R"({"shapes": [1]})", "shapes");
  says(R"({"max_queue": 1, "max_queue": 2})", "'max_queue' is given twice");
  says(R"([])", "expected an object");
  says(R"({"max_queue": 1)", "parse error");
  says("", "parse error");
  says("{\"labels\": [\"\xff\"]}", "invalid");
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "[";
  says(R"({"shapes": )" + deep, "nested deeper");
}

TEST(ModelConfig, LabelsOfAFileBesideIt) {
  char folder[] = "/tmp/sluice-labels-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  std::ofstream(std::string(folder) + "/names.txt") << "a\nb c\n";
  EXPECT_EQ(Apply(R"({"labels": "names.txt"})", folder).labels, (std::vector<std::string>{"a", "b c"}));
  std::filesystem::create_symlink("/etc/passwd", std::string(folder) + "/link.txt");
  EXPECT_THROW(Apply(R"({"labels": "link.txt"})", folder), Error);
  std::filesystem::remove_all(folder);
}

TEST(ModelConfig, HelpHasEveryKey) {
  const std::string help = ModelJsonHelp();
  for (const char* key : {"max_batch_size", "warm_up", "shapes", "letterbox", "threshold", "labels"})
    EXPECT_NE(help.find(key), std::string::npos) << key;
}

}  // namespace
}  // namespace sluice::serve
