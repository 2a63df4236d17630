#include "tests/e2e/command.h"

namespace sluice::test {
namespace {

TEST_F(CommandTest, ReadmeHasTheTableOfOperators) {
  const std::string readme = Slurp(std::string(SLUICE_SOURCE_DIR) + "/README.md");
  const std::string begin = "<!-- operators -->\n", end = "<!-- end of operators -->\n";
  const size_t from = readme.find(begin), to = readme.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  const std::string table = readme.substr(from + begin.size(), to - from - begin.size());
  const Outcome outcome = Sluice({"ops", "--markdown"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream want(outcome.out), got(table);
  for (std::string a, b; std::getline(want, a);) {
    std::getline(got, b);
    ASSERT_EQ(a, b) << "README.md is out of date: run tools/update_readme.sh " << SLUICE_COMMAND;
  }
  EXPECT_EQ(outcome.out, table);
}

}  // namespace
}  // namespace sluice::test
