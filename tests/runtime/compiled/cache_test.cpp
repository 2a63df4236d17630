// SessionOptions::cache_folder: what is used, made and made again.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "tests/runtime/compiled/models.h"

namespace sluice::test {
namespace {

class Cache : public testing::Test {
 protected:
  void SetUp() override { Spill(model_, ConvModel()); }

  // Loads the model; `log_` is what the session said.
  Session Load(SessionOptions options = TwoThreads()) {
    log_.clear();
    options.cache_folder = cache_;
    options.log = [this](LogLevel level, std::string_view text) {
      if (level == LogLevel::kInfo) log_ += std::string(text) + '\n';
    };
    Session session = Session::Load(model_, options);
    return session;
  }
  bool Said(const std::string& text) const { return log_.find(text) != std::string::npos; }

  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    if (!std::filesystem::exists(cache_)) return files;
    for (const auto& entry : std::filesystem::directory_iterator(cache_))
      files.push_back(entry.path().string());
    return files;
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "model.onnx", cache_ = folder_ / "made/here";
  std::string log_;
};

TEST_F(Cache, IsFilledOnceAndThenUsed) {
  const std::string expected = OutputsOf(Session::Load(model_, TwoThreads()));
  EXPECT_EQ(OutputsOf(Load()), expected);
  EXPECT_TRUE(Said("is written")) << log_;
  ASSERT_EQ(Files().size(), 1u);
  EXPECT_NE(Files()[0].find("/model-"), std::string::npos);
  const auto written = std::filesystem::last_write_time(Files()[0]);
  EXPECT_EQ(OutputsOf(Load()), expected);
  EXPECT_TRUE(Said("is used") && !Said("is written")) << log_;
  EXPECT_EQ(std::filesystem::last_write_time(Files()[0]), written);
}

TEST_F(Cache, KeepsWhatDependsOnOptionsApart) {
  Load();
  SessionOptions fast = TwoThreads(), shaped = TwoThreads(), plain = TwoThreads();
  fast.accuracy = Accuracy::kFast;
  shaped.input_shapes = {{"x", {3, 16, 24, 24}}};
  plain.passes = false;
  for (const SessionOptions& options : {fast, shaped, plain}) {
    const std::string expected = OutputsOf(Session::Load(model_, options));
    EXPECT_EQ(OutputsOf(Load(options)), expected);
    EXPECT_TRUE(Said("is written")) << log_;
    EXPECT_EQ(OutputsOf(Load(options)), expected);
    EXPECT_TRUE(Said("is used")) << log_;
  }
  EXPECT_EQ(Files().size(), 4u);
  // The number of threads changes nothing.
  SessionOptions alone;
  alone.threads = 1;
  Load(alone);
  EXPECT_TRUE(Said("is used")) << log_;
}

TEST_F(Cache, FollowsTheModel) {
  Load();
  Spill(model_, ConvModel(2));
  EXPECT_EQ(OutputsOf(Load()), OutputsOf(Session::Load(model_, TwoThreads())));
  EXPECT_TRUE(Said("has changed") && Said("is written")) << log_;
  // The same size and another content, put in its place.
  std::string other = ConvModel(2);
  other[other.size() / 2] ^= 1;
  Spill(folder_ / "new.onnx", other);
  std::filesystem::rename(folder_ / "new.onnx", model_);
  EXPECT_EQ(OutputsOf(Load()), OutputsOf(Session::Load(model_, TwoThreads())));
  EXPECT_TRUE(Said("has changed")) << log_;
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(Cache, MakesDamagedFilesAgain) {
  const std::string expected = OutputsOf(Load()), whole = Slurp(Files()[0]);
  std::string damaged = whole;
  damaged[300] ^= 4;
  for (const std::string& bytes :
       {damaged, whole.substr(0, whole.size() / 2), whole.substr(0, 20), std::string()}) {
    Spill(Files()[0], bytes);
    EXPECT_EQ(OutputsOf(Load()), expected);
    EXPECT_TRUE(Said("is written")) << log_;
    EXPECT_EQ(Slurp(Files()[0]), whole);
  }
  // What is another's under the same name.
  TemporaryFolder folder;
  Spill(folder / "other.onnx", MatMulModel());
  Session::Compile(folder / "other.onnx", Files()[0]);
  EXPECT_EQ(OutputsOf(Load()), expected);
  EXPECT_TRUE(Said("of another model")) << log_;
}

// A cache is a help: without one models load too.
TEST_F(Cache, DoesWithoutWhereItCannotWrite) {
  const std::string expected = OutputsOf(Session::Load(model_, TwoThreads()));
  Spill(folder_ / "made", "a file in the folder's place");
  EXPECT_EQ(OutputsOf(Load()), expected);
  EXPECT_TRUE(Said("no compiled model is kept: cannot write '" + cache_)) << log_;
}

TEST_F(Cache, DoesWithoutOnAFullDisk) {
  const std::string expected = OutputsOf(Session::Load(model_, TwoThreads()));
  std::filesystem::create_directories(cache_);
  if (mount("tmpfs", cache_.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "no right to mount";
  EXPECT_EQ(OutputsOf(Load()), expected);
  EXPECT_TRUE(Said("No space left on device")) << log_;
  EXPECT_TRUE(Files().empty());
  umount(cache_.c_str());
}

TEST_F(Cache, IsReadWhereItCannotBeWritten) {
  const std::string expected = OutputsOf(Load());
  std::filesystem::create_directories(cache_);
  if (mount(cache_.c_str(), cache_.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
      mount(nullptr, cache_.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0)
    GTEST_SKIP() << "no right to mount";
  EXPECT_EQ(OutputsOf(Load()), expected);
  EXPECT_TRUE(Said("is used")) << log_;
  Spill(model_, MatMulModel());
  EXPECT_EQ(OutputsOf(Load()), OutputsOf(Session::Load(model_, TwoThreads())));
  EXPECT_TRUE(Said("Read-only file system")) << log_;
  umount(cache_.c_str());
}

// Processes and threads that begin at once all end with the same results, and leave one whole file.
TEST_F(Cache, IsSharedByProcessesThatBeginAtOnce) {
  const std::string expected = OutputsOf(Session::Load(model_, TwoThreads()));
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      bool good = true;
      for (int turn = 0; turn < 4; ++turn) {
        SessionOptions options;
        options.threads = 1;
        options.cache_folder = cache_;
        good = good && OutputsOf(Session::Load(model_, options)) == expected;
        std::error_code others_were_first;
        if (turn % 2 == 0)
          for (const std::string& file : Files()) std::filesystem::remove(file, others_were_first);
      }
      _exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(OutputsOf(Load()), expected);
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(Cache, DoesNotHideErrorsOfTheModel) {
  Spill(model_, "no model");
  EXPECT_THROW(Load(), Error);
  std::filesystem::remove(model_);
  try {
    Load();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(model_), std::string::npos) << error.what();
  }
  EXPECT_TRUE(Files().empty());
}

TEST_F(Cache, RemembersWhatTuningChose) {
  SessionOptions tuned = TwoThreads();
  tuned.tuning_file = folder_ / "tuning.txt";
  const std::string expected = OutputsOf(Load(tuned));
  const std::string lines = Slurp(tuned.tuning_file);
  EXPECT_FALSE(lines.empty());
  EXPECT_EQ(OutputsOf(Load(tuned)), expected);
  EXPECT_TRUE(Said("is used")) << log_;
  EXPECT_EQ(Slurp(tuned.tuning_file), lines);
  // Models that are not tuned have another file.
  Load();
  EXPECT_EQ(Files().size(), 2u);
}

}  // namespace
}  // namespace sluice::test
