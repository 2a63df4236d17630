#include "runtime/cpu_quota.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sluice {
namespace {

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("sluice-cgroup-" + std::to_string(getpid()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const auto file = root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  double Quota(const std::string& membership) { return CgroupQuota(root_.string(), membership); }

  std::filesystem::path root_;
};

TEST_F(CgroupTest, Version2) {
  Write("a/b/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(Quota("0::/a/b\n"), 1.5);
}

TEST_F(CgroupTest, AncestorsCount) {
  Write("a/cpu.max", "50000 100000\n");
  Write("a/b/cpu.max", "max 100000\n");
  EXPECT_DOUBLE_EQ(Quota("0::/a/b\n"), 0.5);
}

TEST_F(CgroupTest, RootOfAContainer) {
  Write("cpu.max", "300000 100000\n");
  EXPECT_DOUBLE_EQ(Quota("0::/not/visible/here\n"), 3);
}

TEST_F(CgroupTest, Version1) {
  Write("cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000\n");
  Write("cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(Quota("5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n"), 2.5);
}

TEST_F(CgroupTest, NoQuota) {
  Write("cpu.max", "max 100000\n");
  Write("cpu/cpu.cfs_quota_us", "-1\n");
  Write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota("0::/\n1:cpu:/\n"), 0);
  EXPECT_EQ(Quota(""), 0);
  EXPECT_EQ(Quota("garbage\n:\n::\n"), 0);
}

TEST_F(CgroupTest, MalformedFiles) {
  Write("cpu.max", "100000\n");
  EXPECT_EQ(Quota("0::/\n"), 0);
  Write("cpu.max", "100000 0\n");
  EXPECT_EQ(Quota("0::/\n"), 0);
}

TEST(AvailableCpusTest, AtLeastOne) { EXPECT_GE(AvailableCpus(), 1); }

}  // namespace
}  // namespace sluice
