#include "tools/known_failures.h"

#include <gtest/gtest.h>

#include "sluice/error.h"

namespace sluice::tools {
namespace {

TEST(KnownFailures, FindsCasesByTheirLastTwoFolders) {
  KnownFailures list =
      KnownFailures::Parse("# all\n\n  node/test_a  is random\nnode/test_b\tis slow\r\n", "f.txt");
  EXPECT_EQ(list.NotFound(), (std::vector<std::string>{"node/test_a", "node/test_b"}));
  ASSERT_NE(list.Find("/data/node/test_a"), nullptr);
  EXPECT_EQ(*list.Find("/data/node/test_a"), "is random");
  EXPECT_EQ(list.Find("/data/simple/test_a"), nullptr);
  EXPECT_EQ(list.NotFound(), (std::vector<std::string>{"node/test_b"}));
}

TEST(KnownFailures, RefusesCasesWithoutReasonAndTwice) {
  const auto message = [](const std::string& text) -> std::string {
    try {
      KnownFailures::Parse(text, "f.txt");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message("a/b x\na/c  \n"), "f.txt:2: a case without a reason");
  EXPECT_EQ(message("a/b x\na/b y\n"), "f.txt:2: a/b is listed twice");
}

}  // namespace
}  // namespace sluice::tools
