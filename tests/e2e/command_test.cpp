// The built command on tiny models: what it prints, writes and refuses.
#include "tests/e2e/command.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "sluice/error.h"
#include "tests/e2e/tiny_model.h"
#include "tools/npy.h"
#include "tools/picture.h"

namespace sluice::test {
namespace {

using nlohmann::json;
using tools::Picture;
using tools::ReadNpy;
using tools::ReadPicture;
using tools::WriteNpy;
using tools::WritePicture;

class Command : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    model_ = Path("model.onnx");
    // y = max(x, 0) on float [N, 3].
    Spill(model_, Model({{"Relu", {"x"}, {"y"}}}, {{"x", 1, {"N", "3"}}}, {{"y", 1, {"N", "3"}}}));
  }

  std::string WriteX(const std::vector<float>& values, const std::string& name = "x.npy") {
    WriteNpy(Path(name), Tensor::From<float>({static_cast<int64_t>(values.size()) / 3, 3}, values));
    return Path(name);
  }

  // A test case of the layout of the ONNX backend suite.
  void WriteCase(const std::string& name, const std::string& model, const std::vector<float>& want) {
    const std::string set = Path("cases/" + name + "/test_data_set_0");
    std::filesystem::create_directories(set);
    Spill(Path("cases/" + name + "/model.onnx"), model);
    Spill(set + "/input_0.pb", FloatTensor({1, 3}, {-1, 2, 3}));
    Spill(set + "/output_0.pb", FloatTensor({1, 3}, want));
  }

  std::string model_;
};

TEST_F(Command, ExplainsItself) {
  EXPECT_EQ(Sluice({"--version"}).out.rfind("sluice ", 0), 0u);
  EXPECT_EQ(Sluice({"--help"}).status, 0);
  for (const char* verb : {"run", "test", "inspect", "bench", "detect", "ops"}) {
    const Outcome help = Sluice({verb, "--help"});
    EXPECT_EQ(help.status, 0) << verb;
    const size_t example = help.out.find("Example");
    ASSERT_NE(example, std::string::npos) << help.out;
    EXPECT_NE(help.out.find(std::string(": sluice ") + verb, example), std::string::npos) << help.out;
  }
}

TEST_F(Command, RefusesWrongUsageWithStatusTwo) {
  const std::vector<std::vector<std::string>> misuses = {
      {}, {"fly"}, {"run"}, {"run", model_, "--threads", "x"}, {"run", model_, "--threads", "-1"},
      {"run", model_, "--bogus"}, {"test"}, {"bench", model_, "--seconds", "-1"}, {"run", model_, "--passes", "some"}};
  for (const auto& args : misuses) {
    const Outcome outcome = Sluice(args);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_EQ(outcome.err.rfind("sluice: ", 0), 0u) << outcome.err;
  }
}

TEST_F(Command, RunsOnNpyAndWritesNpy) {
  const Outcome outcome = Sluice({"run", model_, "--input", "x=" + WriteX({-1, 2, 3, 4, -5, 6}), "--output", Path("out")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "y: float [2, 3], min 0, max 6, mean 2.5\n");
  const Tensor y = ReadNpy(Path("out/y.npy"));
  EXPECT_EQ(y.shape(), (Shape{2, 3}));
  EXPECT_EQ(y.values<float>()[0], 0);
  EXPECT_EQ(y.values<float>()[5], 6);
}

TEST_F(Command, RunsOnTensorProtoWithoutTheInputsName) {
  Spill(Path("x.pb"), FloatTensor({1, 3}, {-1, 0.5f, 7}));
  const Outcome outcome = Sluice({"run", model_, "--input", Path("x.pb"), "--threads", "1", "--passes", "off"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "y: float [1, 3], min 0, max 7, mean 2.5\n");
}

TEST_F(Command, FillsInputsWithNoiseAndSaysSo) {
  const Outcome outcome = Sluice({"run", model_, "--shape", "x=5x3", "--repeat", "3"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("input 'x' is filled with noise (seed 1), float [5, 3]"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("y: float [5, 3]"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("3 runs: "), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(Sluice({"run", model_}).out, Sluice({"run", model_, "--seed", "2"}).out);
}

TEST_F(Command, TakesAPictureAndSavesOne) {
  Spill(model_, Model({{"Identity", {"in"}, {"out"}}}, {{"in", 1, {"1", "3", "8", "8"}}}, {{"out", 1, {"1", "3", "H", "W"}}}));
  Picture picture(5, 4);
  for (size_t i = 0; i < picture.rgb.size(); ++i) picture.rgb[i] = static_cast<uint8_t>(4 * i);
  WritePicture(Path("in.png"), picture);
  ExpectRefused({"run", model_, "--input", "in=" + Path("in.png")}, {"5x4 pixels", "8x8", "--resize", "--shape"});
  const Outcome outcome = Sluice({"run", model_, "--input", "in=" + Path("in.png"), "--shape", "in=1x3x4x5", "--mean",
                                  "123.7,116.3,103.5", "--scale", "0.0171,0.0175,0.0174", "--color", "bgr", "--save",
                                  "out=" + Path("out.png")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(ReadPicture(Path("out.png")).rgb, picture.rgb);
  EXPECT_EQ(Sluice({"run", model_, "--input", Path("in.png"), "--letterbox", "8x8"}).status, 0);
}

TEST_F(Command, PrintsMapsAndWritesThemAsJson) {
  Spill(model_, Model({{"ZipMap", {"x"}, {"z"}, "ai.onnx.ml", {StringsAttribute("classlabels_strings", {"b", "a\"", "\xff"})}}},
                      {{"x", 1, {"N", "3"}}}, {{"z", 0, {}}}));
  const Outcome outcome =
      Sluice({"run", model_, "--input", WriteX({1, 2, 3, 4, 5.5f, 6}), "--output", Path("out")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("z: sequence of 2 (float)\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("  z[0]: map of 3 (string to float): {\"a\\\"\":2.0,\"b\":1.0,"), std::string::npos)
      << outcome.out;
  const json maps = json::parse(Slurp(Path("out/z.json")));
  ASSERT_EQ(maps.size(), 2u);
  EXPECT_EQ(maps[1]["a\""], 5.5);
  EXPECT_EQ(maps[1]["b"], 4);
  EXPECT_NE(Sluice({"inspect", model_}).out.find("z: sequence of maps from string to float"), std::string::npos);
}

TEST_F(Command, KeepsOutputsInTheFolder) {
  Spill(model_, Model({{"Relu", {"x"}, {"../../y"}}, {"Relu", {"x"}, {"__.._y"}}}, {{"x", 1, {"1", "3"}}},
                      {{"../../y", 1, {"1", "3"}}, {"__.._y", 1, {"1", "3"}}}));
  ASSERT_EQ(Sluice({"run", model_, "--output", Path("a/b/out")}).status, 0);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(Path("a/b/out"))) {
    EXPECT_EQ(entry.path().extension(), ".npy");
    ++files;
  }
  EXPECT_EQ(files, 2u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(Path("a/b")), {}), 1);
}

TEST_F(Command, RefusesInputsThatDoNotFit) {
  ExpectRefused({"run", model_, "--input", "z=" + WriteX({1, 2, 3})}, {"no input 'z'", "'x' float [N, 3]"});
  ExpectRefused({"run", model_, "--input", Path("absent.npy")}, {"absent.npy", "No such file"});
  WriteNpy(Path("int.npy"), Tensor::From<int64_t>({1, 3}, std::vector<int64_t>{1, 2, 3}));
  ExpectRefused({"run", model_, "--input", Path("int.npy")}, {"x", "int64", "float"});
  WriteNpy(Path("wide.npy"), Tensor(DataType::kFloat, {1, 4}));
  ExpectRefused({"run", model_, "--input", Path("wide.npy")}, {"x", "4", "3"});
  WriteNpy(Path("flat.npy"), Tensor(DataType::kFloat, {3}));
  ExpectRefused({"run", model_, "--input", Path("flat.npy")}, {"x", "[3]"});
  Spill(Path("half.npy"), Slurp(WriteX({1, 2, 3})).substr(0, 130));
  ExpectRefused({"run", model_, "--input", Path("half.npy")}, {"half.npy", "takes 12 bytes"});
  Spill(Path("x.txt"), "1 2 3");
  ExpectRefused({"run", model_, "--input", Path("x.txt")}, {"x.txt", "neither"});
  Spill(Path("bad.pb"), "\xff\xff\xff");
  ExpectRefused({"run", model_, "--input", Path("bad.pb")}, {"bad.pb"});
  const std::string x = WriteX({1, 2, 3});
  ExpectRefused({"run", model_, "--input", x, "--input", x}, {"given twice"});
  ExpectRefused({"run", model_, "--shape", "z=1x3"}, {"z"});
  ExpectRefused({"run", model_, "--shape", "x=1by3"}, {"1by3"});
  ExpectRefused({"run", model_, "--disable-pass", "nonsense"}, {"nonsense"});
}

TEST_F(Command, RefusesPlacesItCannotWriteTo) {
  Spill(Path("file"), "");
  ExpectRefused({"run", model_, "--output", Path("file")}, {"file"});
  ExpectRefused({"run", model_, "--output", "/proc/sluice"}, {"/proc/sluice"});
  ExpectRefused({"run", model_, "--save", "y=" + Path("y.gif")}, {"y.gif", ".png"});
  ExpectRefused({"run", model_, "--save", "q=" + Path("y.png")}, {"no output 'q'", "'y' float"});
  ExpectRefused({"run", model_, "--save", "y=" + Path("y.png"), "--shape", "x=5x3x"}, {"5x3x"});
  ExpectRefused({"bench", model_, "--seconds", "0", "--json", Path("file/x.json")}, {"x.json"});
  EXPECT_EQ(Slurp(Path("file")), "");
}

TEST_F(Command, RefusesBrokenModels) {
  ExpectRefused({"run", Path("absent.onnx")}, {"absent.onnx"});
  ExpectRefused({"run", dir_}, {dir_});
  const std::string whole = Slurp(model_);
  for (size_t size : {size_t{1}, whole.size() / 2, whole.size() - 1}) {
    Spill(Path("cut.onnx"), whole.substr(0, size));
    ExpectRefused({"inspect", Path("cut.onnx")}, {"cut.onnx"});
  }
  Spill(Path("empty.onnx"), "");
  ExpectRefused({"run", Path("empty.onnx")}, {"empty.onnx"});
  Spill(Path("text.onnx"), "no model at all, just a sentence");
  ExpectRefused({"bench", Path("text.onnx")}, {"text.onnx"});
  Spill(Path("odd.onnx"), Model({{"Frobnicate", {"x"}, {"y"}}}, {{"x", 1, {"3"}}}, {{"y", 1, {"3"}}}));
  ExpectRefused({"run", Path("odd.onnx")}, {"Frobnicate"});
  Spill(Path("cycle.onnx"), Model({{"Relu", {"z"}, {"y"}}, {"Relu", {"y"}, {"z"}}}, {{"x", 1, {"3"}}}, {{"y", 1, {"3"}}}));
  ExpectRefused({"run", Path("cycle.onnx")}, {"Relu"});
}

TEST_F(Command, InspectsAModel) {
  const Outcome outcome = Sluice({"inspect", model_, "--fusions", "--kernels"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part : {"tiny_model.h", "ai.onnx 17", "x: float [N, 3]", "y: float [N, 3]", "1  Relu", "GFLOP",
                           "with 1 for open sizes (x [1, 3])", "fusions", "kernels", "parameters  0"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
}

TEST_F(Command, BenchmarksAModel) {
  const Outcome outcome = Sluice({"bench", model_, "--seconds", "0.05", "--threads", "1", "--requests", "3", "--json",
                                  Path("b.json"), "--profile", Path("trace.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const json figures = json::parse(Slurp(Path("b.json")));
  for (const char* key :
       {"median_ms", "min_ms", "p90_ms", "p99_ms", "runs_per_s", "load_ms", "peak_rss_bytes", "threads"}) {
    ASSERT_TRUE(figures.contains(key)) << key;
    EXPECT_GT(figures[key].get<double>(), 0) << key;
  }
  EXPECT_EQ(figures["threads"], 1);
  EXPECT_EQ(figures["requests"], 3);
  EXPECT_LE(figures["min_ms"], figures["median_ms"]);
  EXPECT_LE(figures["median_ms"], figures["p90_ms"]);
  EXPECT_LE(figures["p90_ms"], figures["p99_ms"]);
  const json trace = json::parse(Slurp(Path("trace.json")));
  const auto is_step = [](const json& event) { return event["ph"] == "X" && event["dur"].get<double>() >= 0; };
  EXPECT_TRUE(std::any_of(trace["traceEvents"].begin(), trace["traceEvents"].end(), is_step));
}

TEST_F(Command, TestsCases) {
  const std::string relu = Slurp(model_);
  WriteCase("good/relu", relu, {0, 2, 3});
  WriteCase("good/deeper/relu_10", relu, {0, 2.001f, 3});
  Outcome outcome = Sluice({"test", Path("cases/good")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "2 passed, 0 failed, 0 skipped\n");
  EXPECT_EQ(outcome.err, "");

  WriteCase("unknown", Model({{"Frobnicate", {"x"}, {"y"}}}, {{"x", 1, {"1", "3"}}}, {{"y", 1, {"1", "3"}}}), {0, 2, 3});
  outcome = Sluice({"test", Path("cases")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("skipped " + Path("cases/unknown")), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("Frobnicate"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("2 passed, 0 failed, 1 skipped\n"), std::string::npos) << outcome.out;

  WriteCase("wrong", relu, {0, 2.5f, 3});
  WriteCase("broken", relu.substr(0, 20), {0, 2, 3});
  outcome = Sluice({"test", Path("cases"), "--json", Path("r.json"), "--verbose"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("output 'y': 1 of 3 values differ, the largest error 0.5 is at [0, 1]: got 2, expected 2.5"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("\n2 passed, 2 failed, 1 skipped\n"), std::string::npos) << outcome.out;
  const json results = json::parse(Slurp(Path("r.json")));
  EXPECT_EQ(results["passed"], 2);
  EXPECT_EQ(results["failed"], 2);
  EXPECT_EQ(results["skipped"], 1);
  EXPECT_EQ(results["cases"].size(), 5u);
}

TEST_F(Command, TestsWithTheTolerancesGiven) {
  WriteCase("relu", Slurp(model_), {0, 2.001f, 3});
  EXPECT_EQ(Sluice({"test", Path("cases")}).status, 0);
  EXPECT_EQ(Sluice({"test", Path("cases"), "--strict"}).status, 0);
  EXPECT_EQ(Sluice({"test", Path("cases"), "--rtol", "1e-5", "--atol", "0"}).status, 1);
  WriteCase("relu", Slurp(model_), {0.0001f, 2, 3});
  EXPECT_EQ(Sluice({"test", Path("cases")}).status, 0);
  EXPECT_EQ(Sluice({"test", Path("cases"), "--strict"}).status, 1);
}

TEST_F(Command, TestsWithTheShapesOfTheData) {
  // The model declares [2], the data are [1, 3].
  WriteCase("other_shape", Model({{"Relu", {"x"}, {"y"}}}, {{"x", 1, {"2"}}}, {{"y", 1, {"2"}}}), {0, 2, 3});
  Outcome outcome = Sluice({"test", Path("cases")});
  EXPECT_EQ(outcome.status, 0) << outcome.out;
  EXPECT_EQ(outcome.out, "1 passed, 0 failed, 0 skipped\n");
  // Data of another type than declared still fail.
  WriteCase("other_type", Model({{"Relu", {"x"}, {"y"}}}, {{"x", 11, {"1", "3"}}}, {{"y", 11, {"1", "3"}}}), {0, 2, 3});
  outcome = Sluice({"test", Path("cases")});
  EXPECT_EQ(outcome.status, 1) << outcome.out;
  EXPECT_NE(outcome.out.find("expected double, found float"), std::string::npos) << outcome.out;
}

TEST_F(Command, TestsRandomOutputsByTypeAndShape) {
  const auto model = [](const std::string& random) {
    return Model({{random, {"x"}, {"r"}}, {"Relu", {"r"}, {"y"}}}, {{"x", 1, {"1", "3"}}}, {{"y", 1, {"1", "3"}}});
  };
  WriteCase("random", model("RandomUniformLike"), {5, 6, 7});
  Outcome outcome = Sluice({"test", Path("cases"), "--verbose", "--json", Path("r.json")});
  EXPECT_EQ(outcome.status, 0) << outcome.out;
  EXPECT_NE(outcome.out.find("random (random: type and shape; "), std::string::npos) << outcome.out;
  EXPECT_TRUE(json::parse(Slurp(Path("r.json")))["cases"][0]["random"].get<bool>());
  // The shape does count, and so do the elements of everything else.
  Spill(Path("cases/random/test_data_set_0/output_0.pb"), FloatTensor({3}, {0, 0, 0}));
  outcome = Sluice({"test", Path("cases")});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("got float [1, 3], expected float [3]"), std::string::npos) << outcome.out;
  WriteCase("random", model("Neg"), {5, 6, 7});
  EXPECT_EQ(Sluice({"test", Path("cases")}).status, 1);
}

TEST_F(Command, TestKnowsFailures) {
  WriteCase("wrong", Slurp(model_), {0, 2.5f, 3});
  WriteCase("right", Slurp(model_), {0, 2, 3});
  const std::vector<std::string> test = {"test", Path("cases"), "--known-failures", Path("known.txt")};
  Spill(Path("known.txt"), "# all of them\ncases/wrong rounds otherwise\n");
  EXPECT_EQ(Sluice(test).status, 0);
  Spill(Path("known.txt"), "");
  EXPECT_EQ(Sluice(test).status, 1);
  Spill(Path("known.txt"), "cases/wrong rounds otherwise\ncases/right is slow\n");
  Outcome outcome = Sluice(test);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("unexpectedly passed " + Path("cases/right")), std::string::npos) << outcome.out;
  Spill(Path("known.txt"), "cases/wrong rounds otherwise\ncases/gone is slow\n");
  outcome = Sluice(test);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("cases/gone is listed, but was not run"), std::string::npos) << outcome.out;
}

TEST_F(Command, TestRefusesFoldersWithoutCases) {
  std::filesystem::create_directory(Path("empty"));
  ExpectRefused({"test", Path("empty")}, {"no test case"});
  ExpectRefused({"test", Path("absent")}, {"absent"});
  // Without expected outputs nothing is tested.
  WriteCase("bare", Slurp(model_), {0, 2, 3});
  std::filesystem::remove(Path("cases/bare/test_data_set_0/output_0.pb"));
  EXPECT_EQ(Sluice({"test", Path("cases")}).status, 1);
}

TEST_F(Command, DetectRefusesOtherModels) {
  WritePicture(Path("p.png"), Picture(8, 8));
  ExpectRefused({"detect", model_, Path("p.png")}, {"boxes", "scores", "'y' float"});
}

TEST_F(Command, ListsOperators) {
  const Outcome outcome = Sluice({"ops"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("Relu"), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
