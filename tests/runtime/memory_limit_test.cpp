#include "runtime/memory_limit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "sluice/error.h"
#include "sluice/tensor.h"

namespace sluice {
namespace {

class CgroupMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("sluice-memory-" + std::to_string(getpid()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  int64_t Limit(const std::string& membership) { return CgroupMemoryLimit(root_.string(), membership); }

  std::filesystem::path root_;
};

TEST_F(CgroupMemoryTest, TheSmallestOfAllGroupsCounts) {
  Write("a/memory.max", "1000000\n");
  Write("a/b/memory.max", "max\n");
  Write("memory.max", "3000000\n");
  EXPECT_EQ(Limit("0::/a/b\n"), 1000000);
  EXPECT_EQ(Limit("0::/not/visible\n"), 3000000);
}

TEST_F(CgroupMemoryTest, Version1) {
  Write("memory/docker/x/memory.limit_in_bytes", "2000000\n");
  Write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Limit("5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n"), 2000000);
}

TEST_F(CgroupMemoryTest, NoLimit) {
  Write("memory.max", "max\n");
  EXPECT_EQ(Limit("0::/\n"), INT64_MAX);
  Write("memory.max", "-5\n");
  EXPECT_EQ(Limit("0::/\n"), INT64_MAX);
  EXPECT_EQ(Limit("garbage\n::\n"), INT64_MAX);
}

TEST(AvailableMemoryTest, IsWhatCanBeFreedAndSwap) {
  EXPECT_EQ(AvailableIn("MemTotal: 100 kB\nMemFree: 5 kB\nMemAvailable:   30 kB\nSwapFree: 2 kB\n"),
            32 * 1024);
  EXPECT_EQ(AvailableIn("MemAvailable: 30 kB\n"), 30 * 1024);
  EXPECT_EQ(AvailableIn(""), INT64_MAX);
  EXPECT_EQ(AvailableIn("MemAvailable: -1 kB\nMemAvailable x\n"), INT64_MAX);
  EXPECT_GT(AvailableMemory(), 0);
}

ErrorCode CodeOf(const std::function<void()>& take) {
  try {
    take();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("bytes exceeds"), std::string::npos) << error.what();
    return error.code();
  }
  return ErrorCode::kInternal;
}

// Tensors of a quarter of what is free, untouched, so that nothing is taken from others.
TEST(ReserveMemoryTest, AllTensorsTogetherStayBelowTheLimit) {
  EXPECT_EQ(CodeOf([] { CheckMemory(INT64_MAX); }), ErrorCode::kOutOfMemory);
  EXPECT_EQ(CodeOf([] { ReserveMemory(MemoryLimit() + 1); }), ErrorCode::kOutOfMemory);
  const int64_t part = std::min(AvailableMemory(), MemoryLimit()) / 4;
  std::vector<Tensor> tensors;
  EXPECT_EQ(CodeOf([&] {
              for (;;) tensors.emplace_back(DataType::kUInt8, Shape{part});
            }),
            ErrorCode::kOutOfMemory);
  EXPECT_GE(tensors.size(), 3u);
  EXPECT_LE(static_cast<int64_t>(tensors.size()) * part, MemoryLimit());
  // What is given back can be had again.
  tensors.clear();
  EXPECT_NO_THROW(Tensor(DataType::kUInt8, Shape{part}));
}

}  // namespace
}  // namespace sluice
