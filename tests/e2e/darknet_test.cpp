// The built command on a tiny Darknet detector whose answer is known: convert, and detect on what it wrote.
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/e2e/command.h"
#include "tests/e2e/tiny_model.h"
#include "tools/picture.h"

namespace sluice::test {
namespace {

using nlohmann::json;
using tools::Picture;

// Weights of zero, so that only biases speak: one cell of 32 x 32 pixels, whose anchor of 16 x 8 is of the
// second class with a score of sigmoid(4)^2.
class DarknetCommand : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    Spill(Path("net.cfg"),
          "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=7\nsize=32\nstride=32\n"
          "activation=linear\n[yolo]\nmask=0\nanchors=16,8\nnum=1\nclasses=2\n");
    std::vector<float> values(7 + 7 * 3 * 32 * 32);
    const float biases[] = {0, 0, 0, 0, 4, -4, 4};
    std::copy(std::begin(biases), std::end(biases), values.begin());
    std::string bytes(20 + 4 * values.size(), '\0');
    bytes[4] = 2;  // version 0.2
    std::memcpy(bytes.data() + 20, values.data(), 4 * values.size());
    Spill(Path("net.weights"), bytes);
    Spill(Path("net.names"), "cat\nfish\n");
    std::filesystem::create_directory(Path("pictures"));
    for (const char* name : {"b.png", "a.png", "c.jpg"})
      tools::WritePicture(Path(std::string("pictures/") + name), Picture(64, 32));
    Spill(Path("pictures/notes.txt"), "no picture");
  }

  std::string Convert(const std::vector<std::string>& options = {}) const {
    std::vector<std::string> args = {"convert", Path("net.cfg"), Path("net.weights"), "-o", Path("net.onnx")};
    args.insert(args.end(), options.begin(), options.end());
    const Outcome outcome = Sluice(args);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return Path("net.onnx");
  }
  json Detect(std::vector<std::string> args) const {
    args.insert(args.begin(), "detect");
    args.insert(args.end(), {"--json", Path("found.json")});
    const Outcome outcome = Sluice(args);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json::parse(Slurp(Path("found.json")));
  }
  static void ExpectBox(const json& detection, const std::string& label, const std::vector<double>& box) {
    EXPECT_EQ(detection["label"], label);
    const double sigmoid = 1 / (1 + std::exp(-4.0));
    EXPECT_NEAR(detection["score"].get<double>(), sigmoid * sigmoid, 1e-5);
    ASSERT_EQ(detection["box"].size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(detection["box"][i].get<double>(), box[i], 1e-3) << detection;
  }
};

TEST_F(DarknetCommand, ExplainsItself) {
  const Outcome help = Sluice({"convert", "--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.out.find("Examples: sluice convert"), std::string::npos) << help.out;
}

TEST_F(DarknetCommand, FindsTheKnownBoxHoweverConverted) {
  const std::vector<std::vector<std::string>> ways = {{},
                                                      {"--decode"},
                                                      {"--no-fold"},
                                                      {"--opset", "11", "--decode"},
                                                      {"--batch", "dynamic"},
                                                      {"--batch", "dynamic", "--decode", "--opset", "21"}};
  for (std::vector<std::string> options : ways) {
    SCOPED_TRACE(testing::PrintToString(options));
    options.insert(options.end(), {"--names", Path("net.names")});
    const json found = Detect({Convert(options), Path("pictures/a.png")});
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0]["picture"], Path("pictures/a.png"));
    ASSERT_EQ(found[0]["detections"].size(), 1u);
    // 8, 12 to 24, 20 of 32 x 32 pixels, stretched to 64 x 32.
    ExpectBox(found[0]["detections"][0], "fish", {16, 12, 48, 20});
  }
}

TEST_F(DarknetCommand, KeepsProportionsOnDemand) {
  const json found = Detect({Convert(), Path("pictures/a.png"), "--letterbox"});
  // The picture is in rows 8 to 24 of the input, at half its size.
  ExpectBox(found[0]["detections"].at(0), "class 1", {16, 8, 48, 24});
}

TEST_F(DarknetCommand, TakesFoldersPatternsThresholdsAndNames) {
  const std::string model = Convert();
  const auto names_of = [](const json& found) {
    std::vector<std::string> names;
    for (const json& entry : found) names.push_back(std::filesystem::path(entry["picture"]).filename());
    return names;
  };
  EXPECT_EQ(names_of(Detect({model, Path("pictures")})),
            (std::vector<std::string>{"a.png", "b.png", "c.jpg"}));
  EXPECT_EQ(names_of(Detect({model, Path("pictures/*.png")})), (std::vector<std::string>{"a.png", "b.png"}));
  const json named = Detect({model, Path("pictures/a.png"), "--names", Path("net.names")});
  ExpectBox(named[0]["detections"].at(0), "fish", {16, 12, 48, 20});
  EXPECT_EQ(Detect({model, Path("pictures/a.png"), "--threshold", "0.97"})[0]["detections"].size(), 0u);
  ExpectRefused({"detect", model, Path("pictures/*.gif")}, {"*.gif"});
}

TEST_F(DarknetCommand, DrawsEachPictureUnderItsName) {
  const Outcome outcome = Sluice({"detect", Convert(), Path("pictures"), "--save", Path("drawn")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* name : {"a.png", "b.png", "c.png"}) {
    const Picture drawn = tools::ReadPicture(Path(std::string("drawn/") + name));
    EXPECT_EQ(drawn.width, 64) << name;
    const uint8_t* corner = drawn.at(16, 19);  // of the frame
    EXPECT_GT(corner[0] + corner[1] + corner[2], 0) << name;
    const uint8_t* outside = drawn.at(60, 30);
    EXPECT_LT(outside[0] + outside[1] + outside[2], 30) << name;
  }
}

TEST_F(DarknetCommand, SaysThatWeightsAreMadeUp) {
  const Outcome outcome = Sluice({"convert", Path("net.cfg"), "-o", Path("made.onnx"), "--seed", "7"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("random weights"), std::string::npos) << outcome.out;
  EXPECT_NE(Slurp(Path("made.onnx")).find("random, seed 7"), std::string::npos);
  Sluice({"convert", Path("net.cfg"), "-o", Path("again.onnx"), "--seed", "7"});
  EXPECT_EQ(Slurp(Path("made.onnx")), Slurp(Path("again.onnx")));
}

TEST_F(DarknetCommand, RefusesModelsThatDetectNothing) {
  Spill(Path("relu.onnx"),
        Model({{"Relu", {"x"}, {"y"}}}, {{"x", 1, {"1", "3", "8", "8"}}}, {{"y", 1, {"1", "3", "8", "8"}}}));
  ExpectRefused({"detect", Path("relu.onnx"), Path("pictures/a.png")},
                {"relu.onnx", "no detector", "'x' float [1, 3, 8, 8]", "'y'"});
}

// Where standard error is a terminal a line tells how far it is, and is gone at the end.
TEST_F(DarknetCommand, ShowsProgressOnATerminal) {
  const std::string model = Convert(), pictures = Path("pictures"), out = Path("out.txt");
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(grantpt(terminal), 0);
  ASSERT_EQ(unlockpt(terminal), 0);
  const int other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  ASSERT_GE(other, 0);
  const pid_t child = fork();
  if (child == 0) {
    const int out_fd = open(out.c_str(), O_WRONLY | O_CREAT, 0600);
    if (dup2(out_fd, STDOUT_FILENO) < 0 || dup2(other, STDERR_FILENO) < 0) _exit(126);
    execl(SLUICE_COMMAND, SLUICE_COMMAND, "detect", model.c_str(), pictures.c_str(), nullptr);
    _exit(127);
  }
  close(other);
  std::string shown;
  char buffer[512];
  for (ssize_t got; (got = read(terminal, buffer, sizeof(buffer))) > 0;)
    shown.append(buffer, static_cast<size_t>(got));
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_NE(shown.find("detecting ["), std::string::npos) << shown;
  EXPECT_TRUE(shown.ends_with("\r\x1b[K")) << shown;
  EXPECT_EQ(Slurp(out).find("detecting"), std::string::npos);
  EXPECT_NE(Slurp(out).find("c.jpg: 1 object"), std::string::npos) << Slurp(out);
}

// Every refusal names its place, and nothing is written.
TEST_F(DarknetCommand, RefusesWhatDoesNotFit) {
  const std::string weights = Slurp(Path("net.weights"));
  const auto expect_refused = [&](const std::vector<std::string>& args,
                                  const std::vector<std::string>& parts) {
    std::vector<std::string> all = {"convert"};
    all.insert(all.end(), args.begin(), args.end());
    all.insert(all.end(), {"-o", Path("refused.onnx")});
    ExpectRefused(all, parts);
    EXPECT_FALSE(std::filesystem::exists(Path("refused.onnx")));
    for (const auto& entry : std::filesystem::directory_iterator(dir_))
      EXPECT_NE(entry.path().extension(), ".part") << entry.path();
  };
  const std::string size = std::to_string(weights.size());
  Spill(Path("short.weights"), weights.substr(0, weights.size() - 4));
  expect_refused({Path("net.cfg"), Path("short.weights")},
                 {"short.weights", size + " bytes", std::to_string(weights.size() - 4)});
  Spill(Path("long.weights"), weights + "more");
  expect_refused({Path("net.cfg"), Path("long.weights")},
                 {"long.weights", std::to_string(weights.size() + 4)});
  Spill(Path("stub.weights"), "stub");
  expect_refused({Path("net.cfg"), Path("stub.weights")}, {"stub.weights", "16 bytes, found 4"});
  expect_refused({Path("net.cfg"), Path("absent.weights")}, {"absent.weights"});
  expect_refused({Path("absent.cfg"), Path("net.weights")}, {"absent.cfg"});
  expect_refused({Path("net.weights"), Path("net.cfg")}, {"net.weights"});
  std::string cfg = Slurp(Path("net.cfg"));
  cfg.replace(cfg.find("filters=7"), 9, "filters=8");
  Spill(Path("wrong.cfg"), cfg);
  expect_refused({Path("wrong.cfg"), Path("net.weights")},
                 {"wrong.cfg:14: [yolo] classes", "need 7 channels", "has 8"});
  Spill(Path("names"), "cat\ndog\nfish\n");
  expect_refused({Path("net.cfg"), Path("net.weights"), "--names", Path("names")}, {"2 classes", "3"});
  expect_refused({Path("net.cfg"), Path("net.weights"), "--batch", "0"}, {"--batch 0"});
  expect_refused({Path("net.cfg"), Path("net.weights"), "--batch", "x"}, {"--batch x", "or dynamic"});
  expect_refused({Path("net.cfg"), Path("net.weights"), "--decode", "--opset", "9"}, {"--decode needs 11"});
}

}  // namespace
}  // namespace sluice::test
