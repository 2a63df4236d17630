#include "runtime/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <thread>

#include "runtime/cgroup.h"

namespace sluice {
namespace {

// The first two words of a file; empty strings where there are none.
std::pair<std::string, std::string> ReadWords(const std::string& path) {
  std::ifstream file(path);
  std::string first, second;
  file >> first >> second;
  return {first, second};
}

double Ratio(const std::string& quota, const std::string& period) {
  char* end = nullptr;
  const double q = std::strtod(quota.c_str(), &end);
  if (end == quota.c_str() || q <= 0) return 0;  // "max", "-1", no such file
  const double p = std::strtod(period.c_str(), nullptr);
  return p > 0 ? q / p : 0;
}

double Smaller(double a, double b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

int AffinityCount() {
  // Grown until the kernel's mask fits: machines may have more than CPU_SETSIZE processors.
  for (int size = CPU_SETSIZE; size <= (1 << 20); size *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(size));
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(size));
    const int status = sched_getaffinity(0, bytes, set);
    const int count = status == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

double CgroupQuota(const std::string& cgroup_root, const std::string& membership) {
  double quota = 0;
  VisitControlGroups(cgroup_root, membership, "cpu", [&](const std::string& folder) {
    const auto [share, period] = ReadWords(folder + "/cpu.max");
    quota = Smaller(quota, Ratio(share, period));
    quota = Smaller(quota, Ratio(ReadWords(folder + "/cpu.cfs_quota_us").first,
                                 ReadWords(folder + "/cpu.cfs_period_us").first));
  });
  return quota;
}

int AvailableCpus() {
  const double quota = CgroupQuota("/sys/fs/cgroup", ControlGroupsOfProcess());
  const int cpus = AffinityCount();
  if (quota <= 0 || quota >= cpus) return cpus;
  return std::max(1, static_cast<int>(std::ceil(quota)));
}

}  // namespace sluice
