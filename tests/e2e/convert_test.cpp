// sluice convert and sluice compare on tiny models.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "graph/import.h"
#include "tests/e2e/command.h"
#include "tests/e2e/tiny_model.h"
#include "tools/npy.h"

namespace sluice::test {
namespace {

using nlohmann::json;

class Convert : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    model_ = Path("model.onnx");
    // y = max(x, -0.1 * min(-x, 0) spelled as Relu(x) - Relu(-x)) and its absolute value.
    Spill(model_, Model({{"Relu", {"x"}, {"p"}},
                         {"Neg", {"x"}, {"m"}},
                         {"HardSwish", {"p"}, {"h"}},
                         {"Add", {"h", "m"}, {"y"}},
                         {"Abs", {"y"}, {"z"}}},
                        {{"x", 1, {"N", "3"}}}, {{"y", 1, {"N", "3"}}, {"z", 1, {"N", "3"}}}));
  }

  std::unique_ptr<Graph> Read(const std::string& name) const { return ImportOnnx(Path(name)); }

  // Files in the folder, but for the model itself.
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(dir_)) {
      if (entry.path().filename() != "model.onnx") files.push_back(entry.path().filename());
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  std::string model_;
};

TEST_F(Convert, ToOtherOpsets) {
  const Outcome outcome = Sluice({"convert", model_, "-o", Path("old.onnx"), "--opset", "11"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("opset 11; gives the same results"), std::string::npos) << outcome.out;
  const auto graph = Read("old.onnx");
  EXPECT_EQ(graph->opsets.at(""), 11);
  EXPECT_EQ(graph->ir_version, 6);
  EXPECT_EQ(graph->num_nodes(), 6u);  // HardSwish is two
  EXPECT_EQ(Files(), std::vector<std::string>{"old.onnx"});
}

TEST_F(Convert, TakesSeveralEditsAtOnce) {
  const Outcome outcome = Sluice({"convert", model_, "-o", Path("m.onnx"), "--optimize", "--shape", "x=2x3",
                                  "--extract", "..y", "--strip", "--opset", "13"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto graph = Read("m.onnx");
  ASSERT_EQ(graph->outputs.size(), 1u);
  EXPECT_EQ(graph->value(graph->outputs[0]).name, "y");
  EXPECT_EQ(ToString(graph->value(graph->inputs[0]).type), "float [2, 3]");
}

TEST_F(Convert, MakesReluLeaky) {
  const Outcome outcome = Sluice({"convert", model_, "-o", Path("m.onnx"), "--relu-to-leaky", "0.2"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("1 Relu made leaky"), std::string::npos) << outcome.out;
}

TEST_F(Convert, PutsWeightsBesideTheModel) {
  const std::string big(4096, '\x3f');
  Message graph;
  graph.Bytes(1, Message().Bytes(1, "x").Bytes(1, "w").Bytes(2, "y").Bytes(4, "Mul").bytes());
  graph.Bytes(2, "g");
  graph.Bytes(5, Message().Int(1, 1024).Int(2, 1).Bytes(8, "w").Bytes(9, big).bytes());
  graph.Bytes(11, ValueInfoProto({"x", 1, {"1024"}})).Bytes(12, ValueInfoProto({"y", 1, {"1024"}}));
  Spill(Path("weights.onnx"), Message()
                                  .Int(1, 8)
                                  .Bytes(7, graph.bytes())
                                  .Bytes(8, Message().Bytes(1, "").Int(2, 17).bytes())
                                  .bytes());
  const Outcome outcome = Sluice({"convert", Path("weights.onnx"), "-o", Path("m.onnx"), "--external-data"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(Files(), (std::vector<std::string>{"m.onnx", "m.onnx.data", "weights.onnx"}));
  EXPECT_EQ(Slurp(Path("m.onnx.data")), big);
  EXPECT_EQ(Sluice({"compare", Path("m.onnx"), Path("weights.onnx"), "--rtol", "0", "--atol", "0"}).status,
            0);
  // In place, with the weights as float16.
  EXPECT_EQ(Sluice({"convert", Path("weights.onnx"), "-o", Path("weights.onnx"), "--fp16-weights"}).status,
            0);
  EXPECT_LT(std::filesystem::file_size(Path("weights.onnx")), 3000u);
}

TEST_F(Convert, LeavesNothingBehindWhereItFails) {
  Spill(Path("old.onnx"), "as it was");
  Spill(Path("sine.onnx"), Model({{"Sin", {"x"}, {"y"}}}, {{"x", 1, {"3"}}}, {{"y", 1, {"3"}}}));
  ExpectRefused({"convert", Path("sine.onnx"), "-o", Path("old.onnx"), "--opset", "6"},
                {"Sin 'Sin_node'", "version 7", "opset 6"});
  EXPECT_EQ(Slurp(Path("old.onnx")), "as it was");
  std::filesystem::create_directory(Path("folder"));
  ExpectRefused({"convert", model_, "-o", Path("folder")}, {"folder' is a folder"});
  ExpectRefused({"convert", model_, "-o", Path("none/m.onnx")}, {"none/m.onnx", "No such file"});
  ExpectRefused({"convert", model_, "-o", "/dev/full"}, {"/dev/full", "No space"});
  EXPECT_EQ(Files(), (std::vector<std::string>{"folder", "old.onnx", "sine.onnx"}));
}

TEST_F(Convert, RefusesWhatDoesNotFit) {
  const std::string out = Path("m.onnx");
  ExpectRefused({"convert", model_, "-o", out, "--extract", "q..y"}, {"no value 'q'"});
  ExpectRefused({"convert", model_, "-o", out, "--extract", "y"}, {"FROM..TO"});
  ExpectRefused({"convert", model_, "-o", out, "--shape", "q=1x3"}, {"'q'"});
  ExpectRefused({"convert", model_, "-o", out, "--batch", "2"}, {"--batch", "Darknet"});
  ExpectRefused({"convert", model_, model_, "-o", out}, {"one ONNX model"});
  ExpectRefused({"convert", model_, "-o", out, "--disable-pass", "fold-pads"}, {"--optimize"});
  ExpectRefused({"convert", model_, "-o", out, "--optimize", "--disable-pass", "no-such"}, {"no-such"});
  ExpectRefused({"convert", Path("absent.onnx"), "-o", out}, {"absent.onnx"});
  EXPECT_EQ(Sluice({"convert", model_, "-o", out, "--opset", "99"}).status, 2);
}

TEST_F(Convert, WritesToAPipe) {
  for (const char* output : {"/dev/stdout", "-"}) {
    const Outcome outcome = Sluice({"convert", model_, "-o", output});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NO_THROW(ImportOnnxBytes(std::as_bytes(std::span(outcome.out)), nullptr)) << output;
  }
  EXPECT_FALSE(std::filesystem::exists("-"));
}

TEST_F(Convert, CompareFindsTheFirstDifference) {
  Spill(Path("other.onnx"), Model({{"Relu", {"x"}, {"p"}},
                                   {"Neg", {"x"}, {"m"}},
                                   {"Sigmoid", {"p"}, {"h"}},
                                   {"Add", {"h", "m"}, {"y"}},
                                   {"Abs", {"y"}, {"z"}}},
                                  {{"x", 1, {"N", "3"}}}, {{"y", 1, {"N", "3"}}, {"z", 1, {"N", "3"}}}));
  const Outcome outcome = Sluice(
      {"compare", model_, Path("other.onnx"), "--passes-off", "--passes-off-b", "--json", Path("r.json")});
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_NE(outcome.out.find("first to differ: 'h', computed by HardSwish 'HardSwish_node'"),
            std::string::npos)
      << outcome.out;
  const json report = json::parse(Slurp(Path("r.json")));
  EXPECT_EQ(report["first_to_differ"], "h");
  EXPECT_EQ(report["agree"], false);
  EXPECT_EQ(report["values"].size(), 5u);
  EXPECT_EQ(report["values"][0]["ulps"].size(), 9u);
}

TEST_F(Convert, CompareRunsOfOneModel) {
  EXPECT_EQ(Sluice({"compare", model_, "--passes-off-b"}).status, 0);
  EXPECT_EQ(
      Sluice({"compare", model_, "--threads", "2", "--threads-b", "1", "--rtol", "0", "--atol", "0"}).status,
      0);
  ExpectRefused({"compare", model_}, {"nothing to compare with"});
  EXPECT_EQ(Sluice({"run", model_, "--output", Path("expected")}).status, 0);
  EXPECT_EQ(Sluice({"compare", model_, Path("expected")}).status, 0);
  std::filesystem::create_directory(Path("empty"));
  ExpectRefused({"compare", model_, Path("empty")}, {"none of its 0"});
  ExpectRefused({"compare", model_, Path("expected"), "--threads-b", "1"}, {"--threads-b"});
}

}  // namespace
}  // namespace sluice::test
