#pragma once

#include <functional>
#include <string>

namespace sluice {

// Calls `visit` with every folder of settings that `controller` ("cpu", "memory") has for a process whose
// /proc/self/cgroup reads `membership`: of its control group and of each above it, versions 1 and 2.
// `root` is as /sys/fs/cgroup. Folders that do not exist are among them.
void VisitControlGroups(const std::string& root, const std::string& membership, const std::string& controller,
                        const std::function<void(const std::string& folder)>& visit);

// /proc/self/cgroup.
std::string ControlGroupsOfProcess();

}  // namespace sluice
