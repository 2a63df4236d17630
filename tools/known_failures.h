#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace sluice::tools {

// A list of test cases that are known not to pass. One case a line, "node/test_name why it does not pass",
// named by the last two folders of its path; empty lines and those that begin with # are left out.
class KnownFailures {
 public:
  // Throws Error{kInvalidArgument} with the line for a case without a reason or listed twice.
  static KnownFailures Parse(const std::string& text, const std::string& place);

  // Why the case in this folder does not pass; null where it is not listed. Notes that the case exists.
  const std::string* Find(const std::string& folder);
  // The cases that nobody asked for.
  std::vector<std::string> NotFound() const;

 private:
  std::map<std::string, std::string> reasons_;
  std::set<std::string> found_;
};

}  // namespace sluice::tools
