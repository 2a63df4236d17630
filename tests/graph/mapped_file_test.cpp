#include "graph/mapped_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

namespace sluice {
namespace {

// Resident pages of mapped files, in KiB.
int64_t MappedKiB() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "RssFile:") {
      int64_t kib = 0;
      status >> kib;
      return kib;
    }
  }
  return -1;
}

TEST(MappedFile, ForgottenPagesGoAndComeAgain) {
  constexpr size_t kBytes = 4 << 20;
  std::vector<unsigned char> content(kBytes);
  for (size_t i = 0; i < kBytes; ++i) content[i] = static_cast<unsigned char>(i * 7 % 251);
  const auto path = std::filesystem::temp_directory_path() / ("sluice_mapped_" + std::to_string(getpid()));
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(content.data()), kBytes);
  {
    const auto file = MappedFile::Open(path.string());
    const auto* bytes = reinterpret_cast<const unsigned char*>(file->bytes().data());
    ASSERT_TRUE(std::equal(content.begin(), content.end(), bytes));
    const int64_t before = MappedKiB();
    // Not from the beginning of a page to the end of one.
    ForgetMapped(bytes + 100, kBytes - 200);
    EXPECT_LE(MappedKiB(), before - 3500);
    EXPECT_TRUE(std::equal(content.begin(), content.end(), bytes));
  }
  std::filesystem::remove(path);
}

TEST(MappedFile, OtherMemoryIsKept) {
  std::vector<int> numbers(1 << 20);
  std::iota(numbers.begin(), numbers.end(), 1);
  ForgetMapped(numbers.data(), numbers.size() * sizeof(int));
  ForgetMapped(nullptr, 1 << 20);
  for (size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], static_cast<int>(i) + 1);
}

}  // namespace
}  // namespace sluice
