#include "tools/known_failures.h"

#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include "sluice/error.h"

namespace sluice::tools {

KnownFailures KnownFailures::Parse(const std::string& text, const std::string& place) {
  KnownFailures list;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') continue;
    const size_t end = line.find_first_of(" \t\r", begin), reason = line.find_first_not_of(" \t\r", end);
    const auto fail = [&](const std::string& what) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", place, number, what));
    };
    if (reason == std::string::npos) fail("a case without a reason");
    const std::string name = line.substr(begin, end - begin);
    if (!list.reasons_.emplace(name, line.substr(reason)).second)
      fail(fmt::format("{} is listed twice", name));
  }
  return list;
}

const std::string* KnownFailures::Find(const std::string& folder) {
  const std::filesystem::path path(folder);
  const std::string name = (path.parent_path().filename() / path.filename()).string();
  const auto entry = reasons_.find(name);
  if (entry == reasons_.end()) return nullptr;
  found_.insert(name);
  return &entry->second;
}

std::vector<std::string> KnownFailures::NotFound() const {
  std::vector<std::string> names;
  for (const auto& [name, reason] : reasons_) {
    if (found_.count(name) == 0) names.push_back(name);
  }
  return names;
}

}  // namespace sluice::tools
