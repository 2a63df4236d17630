#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "tests/runtime/compiled/models.h"

namespace sluice::test {
namespace {

void ExpectError(ErrorCode code, const std::vector<std::string>& parts, const std::function<void()>& run) {
  try {
    run();
    ADD_FAILURE() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << error.what() << "\nlacks: " << part;
  }
}

class CompiledSession : public testing::Test {
 protected:
  // Compiles the model and expects the same outputs, bit by bit, from every way to load it.
  void ExpectSame(const std::string& onnx, const SessionOptions& options = TwoThreads(), int64_t open = 1,
                  const std::vector<std::map<std::string, Shape>>& shapes = {}) {
    Spill(model_, onnx);
    Session::Compile(model_, file_, options, shapes);
    const Session original = Session::Load(model_, options);
    const std::string expected = OutputsOf(original, open);
    const Session mapped = Session::Load(file_, options);
    EXPECT_EQ(OutputsOf(mapped, open), expected);
    SessionOptions careful = options;
    careful.copy_files = careful.verify_compiled = true;
    EXPECT_EQ(OutputsOf(Session::Load(file_, careful), open), expected);
    const std::string bytes = Slurp(file_);
    EXPECT_EQ(OutputsOf(Session::LoadBytes(std::as_bytes(std::span(bytes)), options), open), expected);
    ASSERT_EQ(mapped.inputs().size(), original.inputs().size());
    for (size_t i = 0; i < mapped.inputs().size(); ++i) {
      EXPECT_EQ(mapped.inputs()[i].name, original.inputs()[i].name);
      EXPECT_EQ(mapped.inputs()[i].shape, original.inputs()[i].shape);
      EXPECT_EQ(mapped.inputs()[i].dim_names, original.inputs()[i].dim_names);
    }
    ASSERT_EQ(mapped.outputs().size(), original.outputs().size());
    for (size_t i = 0; i < mapped.outputs().size(); ++i) {
      EXPECT_EQ(mapped.outputs()[i].name, original.outputs()[i].name);
      EXPECT_EQ(mapped.outputs()[i].shape, original.outputs()[i].shape);
    }
    EXPECT_EQ(mapped.pass_notes().size(), original.pass_notes().size());
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.onnx", file_ = folder_ / "model.sluice";
};

TEST_F(CompiledSession, GivesTheSameBits) {
  ExpectSame(ConvModel());
  ExpectSame(MatMulModel());
}

TEST_F(CompiledSession, KeepsTheKernelsAndWhyOthersDeclined) {
  Spill(model_, ConvModel());
  SessionOptions options = TwoThreads();
  options.profile = true;
  Session::Compile(model_, file_, options);
  const Session original = Session::Load(model_, options), compiled = Session::Load(file_, options);
  OutputsOf(original), OutputsOf(compiled);
  ASSERT_EQ(compiled.profile().size(), original.profile().size());
  for (size_t i = 0; i < compiled.profile().size(); ++i) {
    EXPECT_EQ(compiled.profile()[i].kernel, original.profile()[i].kernel);
    EXPECT_EQ(compiled.profile()[i].declined, original.profile()[i].declined);
  }
}

TEST_F(CompiledSession, KeepsEveryAccuracyAndNoPasses) {
  for (const Accuracy accuracy : {Accuracy::kStrict, Accuracy::kFast}) {
    SessionOptions options = TwoThreads();
    options.accuracy = accuracy;
    ExpectSame(ConvModel(), options);
  }
  SessionOptions plain = TwoThreads();
  plain.passes = false;
  ExpectSame(ConvModel(), plain);
}

TEST_F(CompiledSession, LeavesSizesOpen) {
  const Dim n = Dim::Symbol("N");
  ExpectSame(ConvModel(n), TwoThreads(), 1);
  // Sizes that were made ready, and others.
  ExpectSame(ConvModel(n), TwoThreads(), 2, {{{"x", {2, 16, 24, 24}}}, {{"x", {3, 16, 24, 24}}}});
  ExpectSame(ConvModel(n), TwoThreads(), 4, {{{"x", {2, 16, 24, 24}}}});
  SessionOptions fixed = TwoThreads();
  fixed.input_shapes = {{"x", {2, 16, 24, 24}}};
  ExpectSame(ConvModel(n), fixed);
  // Open sizes may be closed later.
  Session::Compile(model_, file_, TwoThreads());
  EXPECT_EQ(OutputsOf(Session::Load(file_, fixed)), OutputsOf(Session::Load(model_, fixed)));
  EXPECT_EQ(Session::Load(file_, fixed).outputs()[0].shape, (Shape{2, 8, 24, 24}));
}

TEST_F(CompiledSession, StoresNeitherWeightsTwiceNorThoseThatNobodyReads) {
  ModelMaker m;
  const ValueId x = m.Input("x", {1, 64, 16, 16}), w = m.Weights({64, 64, 3, 3});
  const GraphBuilder::Attrs same = {{"pads", std::vector<int64_t>{1, 1, 1, 1}}};
  const ValueId y = m.builder.Op("Conv", {m.builder.Op("Conv", {x, w}, same), w}, same);
  Spill(model_, m.Bytes({y}));
  SessionOptions strict = TwoThreads();
  strict.accuracy = Accuracy::kStrict;
  Session::Compile(model_, file_, strict);
  constexpr auto kWeights = 64 * 64 * 9 * 4;
  EXPECT_LT(std::filesystem::file_size(file_), kWeights * 3 / 2);
  EXPECT_EQ(OutputsOf(Session::Load(file_, strict)), OutputsOf(Session::Load(model_, strict)));
}

TEST_F(CompiledSession, IsSharedByTheSessionsOfAProcess) {
  Spill(model_, ConvModel());
  Session::Compile(model_, file_, TwoThreads());
  const Session first = Session::Load(file_, TwoThreads()), second = Session::Load(file_, TwoThreads());
  std::ifstream maps("/proc/self/maps");
  int mappings = 0;
  for (std::string line; std::getline(maps, line);) mappings += line.find(file_) != std::string::npos;
  EXPECT_EQ(mappings, 1);
}

TEST_F(CompiledSession, SurvivesTheReplacementOfItsFile) {
  Spill(model_, ConvModel());
  Session::Compile(model_, file_, TwoThreads());
  const Session before = Session::Load(file_, TwoThreads());
  const std::string expected = OutputsOf(before);
  Spill(model_, MatMulModel());
  Session::Compile(model_, file_, TwoThreads());
  EXPECT_EQ(OutputsOf(before), expected);
  EXPECT_EQ(OutputsOf(Session::Load(file_, TwoThreads())), OutputsOf(Session::Load(model_, TwoThreads())));
}

TEST_F(CompiledSession, NamesWhatDiffers) {
  Spill(model_, ConvModel());
  Session::Compile(model_, file_, TwoThreads());
  SessionOptions other = TwoThreads();
  other.accuracy = Accuracy::kFast;
  other.disabled_passes = {"fuse-post-ops", "fold-affine"};
  ExpectError(ErrorCode::kUnsupported,
              {file_, "the accuracy: default, here fast",
               "the passes: on, here on but fold-affine, fuse-post-ops", "compile it again"},
              [&] { Session::Load(file_, other); });
  SessionOptions shape = TwoThreads();
  shape.input_shapes = {{"x", {2, 16, 24, 24}}};
  ExpectError(ErrorCode::kUnsupported, {file_, "'x'", "[1, 16, 24, 24]", "[2, 16, 24, 24]"},
              [&] { Session::Load(file_, shape); });
  shape.input_shapes = {{"x", {-1, 16, 24, 24}}};
  EXPECT_NO_THROW(Session::Load(file_, shape));
  shape.input_shapes = {{"nobody", {2}}};
  ExpectError(ErrorCode::kInvalidArgument, {"'nobody'"}, [&] { Session::Load(file_, shape); });
}

TEST_F(CompiledSession, IsNotMadeOfOneOrInPlaceOfTheModel) {
  Spill(model_, ConvModel());
  Session::Compile(model_, file_, TwoThreads());
  ExpectError(ErrorCode::kInvalidArgument, {file_, "compiled model already"},
              [&] { Session::Compile(file_, folder_ / "again.sluice"); });
  ExpectError(ErrorCode::kInvalidArgument, {"the model itself"}, [&] { Session::Compile(model_, model_); });
  EXPECT_EQ(Slurp(model_), ConvModel());
  ExpectError(ErrorCode::kInvalidArgument, {"no/folder", "No such file"},
              [&] { Session::Compile(model_, folder_ / "no/folder/x.sluice"); });
  ExpectError(ErrorCode::kInvalidArgument, {"/dev/null", "no regular file"},
              [&] { Session::Compile(model_, "/dev/null"); });
  ExpectError(ErrorCode::kInvalidArgument, {"absent.onnx"},
              [&] { Session::Compile(folder_ / "absent.onnx", file_); });
}

// A write that fails leaves neither a part nor a change.
TEST_F(CompiledSession, FailsWhereTheDiskIsFull) {
  Spill(model_, ConvModel());
  Spill(file_, "what was there");
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {1 << 14, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  ExpectError(ErrorCode::kInvalidArgument, {file_, "File too large"},
              [&] { Session::Compile(model_, file_); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(Slurp(file_), "what was there");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 2);
}

TEST_F(CompiledSession, VerifiesWeightsWhenAsked) {
  Spill(model_, ConvModel());
  Session::Compile(model_, file_, TwoThreads());
  std::string bytes = Slurp(file_);
  bytes[bytes.size() - 4096] ^= 1;
  Spill(file_, bytes);
  EXPECT_NO_THROW(Session::Load(file_, TwoThreads()));
  SessionOptions careful = TwoThreads();
  careful.verify_compiled = true;
  ExpectError(ErrorCode::kInvalidModel, {file_, "weights is wrong"}, [&] { Session::Load(file_, careful); });
}

}  // namespace
}  // namespace sluice::test
