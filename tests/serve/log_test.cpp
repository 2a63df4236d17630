#include "tools/serve/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "sluice/error.h"

namespace sluice::serve {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sluice-log-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    StopLog();
    std::filesystem::remove_all(dir_);
  }
  std::vector<std::string> Lines() const {
    StopLog();
    std::ifstream file(dir_ + "/log");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  LogOptions Options(bool json) const { return {.json = json, .file = dir_ + "/log"}; }

  std::string dir_;
};

TEST_F(LogTest, JsonLinesAreJson) {
  StartLog(Options(true));
  Log(LogLevel::kWarning, "two\nlines",
      {{"text", "a \"b\" \xff \x01"}, {"n", int64_t{-5}}, {"x", 0.5}, {"yes", true}});
  LogAccess({{"id", std::string(5000, 'i')}});
  Log(LogLevel::kDebug, "not shown");
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  const auto line = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(line["message"], "two\nlines");
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["n"], -5);
  EXPECT_EQ(line["x"], 0.5);
  EXPECT_EQ(line["yes"], true);
  EXPECT_EQ(line["text"], "a \"b\" \xef\xbf\xbd \x01");
  EXPECT_EQ(line["time"].get<std::string>().size(), std::string("2026-11-26T13:34:01.123Z").size());
  EXPECT_LE(nlohmann::json::parse(lines[1])["id"].get<std::string>().size(), 2048u);
}

TEST_F(LogTest, TextCannotBeForged) {
  StartLog(Options(false));
  Log(LogLevel::kInfo, "loaded",
      {{"model", "m"}, {"reason", "x\n2026 info loaded model=evil"}, {"empty", ""}, {"f", "a=b"}});
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find(R"( info loaded model=m reason="x\n2026 info loaded model=evil" empty="" f="a=b")"),
            std::string::npos)
      << lines[0];
}

TEST_F(LogTest, LevelsAndAccessLinesCanBeOff) {
  LogOptions options = Options(false);
  options.access = false;
  StartLog(options);
  LogAccess({{"id", "1"}});
  Log(LogLevel::kInfo, "kept");
  EXPECT_EQ(Lines().size(), 1u);
  options.access = true;
  options.level = LogLevel::kError;
  StartLog(options);
  EXPECT_FALSE(LogsAccess());
  LogAccess({{"id", "1"}});
  Log(LogLevel::kWarning, "not kept");
  Log(LogLevel::kError, "kept");
  EXPECT_EQ(Lines().size(), 2u);
  Log(LogLevel::kError, "after the end");
  EXPECT_EQ(Lines().size(), 2u);
}

// A reader that does not read must not stop the server.
TEST_F(LogTest, NeverWaitsAndCountsWhatItDrops) {
  ASSERT_EQ(mkfifo((dir_ + "/pipe").c_str(), 0600), 0);
  std::ifstream reader;
  std::thread opens([&] { reader.open(dir_ + "/pipe"); });
  LogOptions options = Options(false);
  options.file = dir_ + "/pipe";
  StartLog(options);
  opens.join();
  const uint64_t before = LogLinesDropped();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 30'000; ++i) Log(LogLevel::kInfo, "a line that nobody reads so far");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_GT(LogLinesDropped(), before + 10'000);
  std::thread reads([&] {
    for (std::string line; std::getline(reader, line);) {
    }
  });
  StopLog();
  reads.join();
  EXPECT_GT(LogLinesDropped(), before + 10'000);
}

TEST_F(LogTest, RefusesAFileThatCannotBeWritten) {
  LogOptions options;
  options.file = "/proc/nowhere/log";
  EXPECT_THROW(StartLog(options), Error);
}

}  // namespace
}  // namespace sluice::serve
