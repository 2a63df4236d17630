#pragma once

#include <string>

namespace sluice {

// Threads that this process can keep busy: the processors of its affinity mask, cut to the CPU quota
// of its control groups (versions 1 and 2, every ancestor counts), rounded up, at least 1.
int AvailableCpus();

// The quota in processors that the control groups under `cgroup_root` (as /sys/fs/cgroup) set for a
// process whose /proc/self/cgroup reads `membership`; 0 where there is none. For tests.
double CgroupQuota(const std::string& cgroup_root, const std::string& membership);

}  // namespace sluice
