// sluice inspect --html and --dead on tiny models; tests/pages looks at pages in a browser.
#include <nlohmann/json.hpp>

#include "tests/e2e/command.h"
#include "tests/e2e/tiny_model.h"

namespace sluice::test {
namespace {

using nlohmann::json;

class Inspect : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    model_ = Path("model.onnx");
    Spill(model_,
          Model({{"Relu", {"image"}, {"</script>r"}}, {"Neg", {"</script>r"}, {"n"}}, {"Relu", {"n"}, {"y"}}},
                {{"image", 1, {"1", "3", "8", "8"}}}, {{"y", 1, {"1", "3", "8", "8"}}}));
    picture_ = std::string(SLUICE_SOURCE_DIR) + "/tools/data/shapes.png";
  }

  std::string model_, picture_;
};

// The JSON in a page.
json DataOf(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t begin = page.find(open) + open.size();
  return json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

TEST_F(Inspect, WritesAPage) {
  const Outcome outcome = Sluice({"inspect", model_, "--html", Path("page.html"), "--runs", "2"});
  if (outcome.err.find("built without its page") != std::string::npos) GTEST_SKIP() << outcome.err;
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("page.html: 3 nodes"), std::string::npos) << outcome.out;
  const json data = DataOf(Slurp(Path("page.html")));
  ASSERT_EQ(data["models"].size(), 1u);
  const json& model = data["models"][0];
  EXPECT_EQ(model["nodes"].size(), 5u) << "with an input and an output";
  EXPECT_EQ(model["nodes"][1]["outputs"][0][0], "</script>r");
  double ms = 0;
  for (const json& group : model["groups"]) ms += group.value("ms", 0.0);
  EXPECT_GT(ms, 0);
}

TEST_F(Inspect, TakesTimesOfAFileForItsOwnModelAlone) {
  ASSERT_EQ(Sluice({"bench", model_, "--seconds", "0.01", "--json", Path("times.json")}).status, 0);
  Outcome outcome = Sluice({"inspect", model_, "--html", Path("page.html"), "--profile", Path("times.json")});
  if (outcome.err.find("built without its page") != std::string::npos) GTEST_SKIP() << outcome.err;
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  Spill(Path("other.json"), R"({"steps": [{"node": "elsewhere", "kernel": "k", "ms": 1}]})");
  outcome = Sluice({"inspect", model_, "--html", Path("none.html"), "--profile", Path("other.json")});
  EXPECT_NE(outcome.status, 0);
  EXPECT_NE(outcome.err.find("none of its 1 steps"), std::string::npos) << outcome.err;
  outcome = Sluice({"inspect", model_, "--html", Path("none.html"), "--against", Path("missing.onnx")});
  EXPECT_NE(outcome.err.find("missing.onnx"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(Path("none.html")));
  for (const char* option : {"--profile", "--runs", "--against"}) {
    EXPECT_NE(Sluice({"inspect", model_, option, "3"}).err.find("--html"), std::string::npos) << option;
  }
}

TEST_F(Inspect, ReportsDeadChannels) {
  std::filesystem::create_directory(Path("pictures"));
  std::filesystem::copy(picture_, Path("pictures/a.png"));
  std::filesystem::copy(picture_, Path("pictures/b.png"));
  const Outcome outcome =
      Sluice({"inspect", model_, "--dead", Path("pictures"), "--json", Path("dead.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("3 of 6 channels never fire in 2 pictures"), std::string::npos) << outcome.out;
  const json report = json::parse(Slurp(Path("dead.json")));
  EXPECT_EQ(report["pictures"].size(), 2u);
  ASSERT_EQ(report["activations"].size(), 2u);
  const json& first = report["activations"][0];
  EXPECT_EQ(first["elements"], 2 * 3 * 8 * 8);
  EXPECT_EQ(first["negative_share"], 0.0) << "pixels are from 0 to 1";
  const json& second = report["activations"][1];
  EXPECT_EQ(second["never_fire"], (std::vector<int>{0, 1, 2}));
  EXPECT_GT(second["negative_share"], 0.5);
  // Pixels below the mean are negative.
  const Outcome shifted =
      Sluice({"inspect", model_, "--dead", picture_, "--mean", "300", "--json", Path("dead.json")});
  ASSERT_EQ(shifted.status, 0) << shifted.err;
  EXPECT_EQ(json::parse(Slurp(Path("dead.json")))["activations"][0]["negative_share"], 1.0);
}

TEST_F(Inspect, DeadRefusesWhatItCannotLookAt) {
  const auto expect = [&](std::vector<std::string> args, const std::string& what) {
    args.insert(args.begin(), "inspect");
    const Outcome outcome = Sluice(args);
    EXPECT_NE(outcome.status, 0);
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
  };
  expect({model_, "--dead"}, "--dead");
  expect({model_, "--dead", Path("none.png")}, "none.png");
  expect({model_, "--dead", dir_}, "has no pictures");
  expect({model_, "--dead", picture_, "--resize", "4x4"}, "image");
  expect({model_, "--json", Path("x.json")}, "--dead");
  const std::string two = Path("two.onnx"), none = Path("no_relu.onnx");
  Spill(two, Model({{"Add", {"a", "b"}, {"c"}}, {"Relu", {"c"}, {"y"}}},
                   {{"a", 1, {"1", "3", "8", "8"}}, {"b", 1, {"1", "3", "8", "8"}}},
                   {{"y", 1, {"1", "3", "8", "8"}}}));
  expect({two, "--dead", picture_}, "one input");
  Spill(none,
        Model({{"Neg", {"a"}, {"y"}}}, {{"a", 1, {"1", "3", "8", "8"}}}, {{"y", 1, {"1", "3", "8", "8"}}}));
  expect({none, "--dead", picture_}, "no Relu");
}

}  // namespace
}  // namespace sluice::test
