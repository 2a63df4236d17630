// sluice compile, and the verbs on what it writes.
#include "tests/e2e/command.h"
#include "tests/e2e/tiny_model.h"

namespace sluice::test {
namespace {

class CompileVerb : public CommandTest {
 protected:
  const std::string model_ = SLUICE_SOURCE_DIR "/tools/data/shapes.onnx";
  const std::string picture_ = SLUICE_SOURCE_DIR "/tools/data/shapes.png";

  std::string Compiled(std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"compile", model_, "-o", Path("shapes.sluice")};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome outcome = Sluice(args);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("shapes.sluice: "), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find(", loads in "), std::string::npos) << outcome.out;
    return Path("shapes.sluice");
  }
};

TEST_F(CompileVerb, GivesWhatOtherVerbsTakeLikeTheModel) {
  const std::string file = Compiled();
  std::vector<std::string> outputs;
  for (const std::string& model : {model_, file}) {
    const Outcome run = Sluice({"run", model, "--seed", "7", "--output", Path("results")});
    ASSERT_EQ(run.status, 0) << run.err;
    std::string bytes;
    for (const auto& entry : std::filesystem::directory_iterator(Path("results")))
      bytes += Slurp(entry.path());
    outputs.push_back(run.out + bytes);
    const Outcome detect = Sluice({"detect", model, picture_, "--json", Path("found.json")});
    ASSERT_EQ(detect.status, 0) << detect.err;
    outputs.push_back(Slurp(Path("found.json")));
  }
  EXPECT_EQ(outputs[0], outputs[2]);
  EXPECT_EQ(outputs[1], outputs[3]);
  const Outcome bench = Sluice({"bench", file, "--threads", "1", "--seconds", "0.1"});
  EXPECT_EQ(bench.status, 0) << bench.err;
  const Outcome compare = Sluice({"compare", file, model_});
  EXPECT_EQ(compare.status, 0) << compare.out << compare.err;
  const Outcome inspect = Sluice({"inspect", file, "--kernels", "--fusions"});
  ASSERT_EQ(inspect.status, 0) << inspect.err;
  for (const char* part : {"compiled\n", "/tools/data/shapes.onnx\n", "its vector instructions: ",
                           "the accuracy: default", "Conv + LeakyRelu(0.1)", "labels"})
    EXPECT_NE(inspect.out.find(part), std::string::npos) << part << "\n" << inspect.out;
}

TEST_F(CompileVerb, SaysWhatDoesNotFit) {
  const std::string file = Compiled({"--accuracy", "fast"});
  ExpectRefused({"run", file}, {file, "the accuracy: fast, here default", "compile it again"});
  EXPECT_EQ(Sluice({"run", file, "--accuracy", "fast"}).status, 0);
  ExpectRefused({"compile", file, "-o", Path("twice.sluice")}, {"compiled model already"});
  ExpectRefused({"convert", file, "-o", Path("back.onnx")}, {file, "is a compiled model"});
  ExpectRefused({"inspect", file, "--accuracy", "fast", "--html", Path("page.html")},
                {file, "is a compiled model"});
  ExpectRefused({"compile", model_, "-o", Path("no/folder/x.sluice")},
                {"no/folder/x.sluice", "No such file"});
  ExpectRefused({"compile", model_, "-o", Path("x.sluice"), "--plan", "1x2"},
                {"--plan 1x2", "expected NAME=SHAPE"});
  ExpectRefused({"compile", model_, "-o", Path("x.sluice"), "--plan", "nobody=1x2"}, {"'nobody'"});
  EXPECT_EQ(Sluice({"compile", model_}).status, 2);
}

TEST_F(CompileVerb, RefusesDamage) {
  const std::string file = Compiled();
  const std::string whole = Slurp(file);
  std::string tables = whole, weights = whole;
  tables[400] ^= 2;
  weights[weights.size() - 10'000] ^= 2;
  Spill(file, tables);
  ExpectRefused({"run", file}, {file, "damaged"});
  Spill(file, whole.substr(0, whole.size() - 1));
  ExpectRefused({"run", file}, {file, "damaged"});
  Spill(file, weights);
  EXPECT_EQ(Sluice({"run", file}).status, 0);
  ExpectRefused({"run", file, "--verify"}, {file, "of its weights is wrong"});
}

TEST_F(CompileVerb, KeepsCompiledModelsInAFolder) {
  const std::string cache = Path("cache");
  const Outcome first = Sluice({"run", model_, "--cache", cache}),
                second = Sluice({"run", model_, "--cache", cache});
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.out, second.out);
  EXPECT_EQ(first.out, Sluice({"run", model_}).out);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(cache), {}), 1);
  // Where it cannot write, it says so and goes on.
  Spill(Path("file"), "");
  const Outcome without = Sluice({"run", model_, "--cache", Path("file")});
  EXPECT_EQ(without.status, 0);
  EXPECT_EQ(without.out, first.out);
  EXPECT_NE(without.err.find("no compiled model is kept"), std::string::npos) << without.err;
}

TEST_F(CompileVerb, MakesPlansForOpenSizes) {
  Spill(Path("open.onnx"), Model({{"Abs", {"x"}, {"y"}}}, {{"x", 1, {"N", "4"}}}, {{"y", 1, {"N", "4"}}}));
  const Outcome outcome =
      Sluice({"compile", Path("open.onnx"), "-o", Path("open.sluice"), "--plan", "x=2x4", "--plan", "x=8x4"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* shape : {"x=2x4", "x=5x4"}) {
    const Outcome run = Sluice({"run", Path("open.sluice"), "--shape", shape});
    EXPECT_EQ(run.status, 0) << run.err;
  }
  ExpectRefused({"run", Path("open.sluice"), "--shape", "x=2x3"}, {"'x'", "[N, 4]", "[2, 3]"});
}

}  // namespace
}  // namespace sluice::test
