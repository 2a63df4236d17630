#include "runtime/cgroup.h"

#include <fstream>
#include <sstream>

namespace sluice {

void VisitControlGroups(const std::string& root, const std::string& membership, const std::string& controller,
                        const std::function<void(const std::string& folder)>& visit) {
  // In a container the path of the host is often not visible and the root of the mount is the group
  // itself, so the root always counts.
  const auto along = [&](const std::string& base, std::string path) {
    visit(base);
    while (path.size() > 1) {
      visit(base + path);
      path.resize(path.find_last_of('/'));
    }
  };
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    // "0::/path" for version 2, "4:cpu,cpuacct:/path" for version 1.
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      along(root, path);
    } else if (("," + controllers + ",").find("," + controller + ",") != std::string::npos) {
      along(root + "/" + controllers, path);
      if (controllers != controller) along(root + "/" + controller, path);
    }
  }
}

std::string ControlGroupsOfProcess() {
  std::ifstream file("/proc/self/cgroup");
  std::stringstream membership;
  membership << file.rdbuf();
  return membership.str();
}

}  // namespace sluice
