#include "runtime/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

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

// The smallest quota of `path` and of the groups above it. In a container the path of the host is
// often not visible and the root of the mount is the group itself, so the root always counts.
template <typename QuotaOf>
double Along(const std::string& base, std::string path, QuotaOf quota_of) {
  double quota = quota_of(base);
  while (path.size() > 1) {
    quota = Smaller(quota, quota_of(base + path));
    path.resize(path.find_last_of('/'));
  }
  return quota;
}

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
  const auto quota_v2 = [](const std::string& dir) {
    const auto [quota, period] = ReadWords(dir + "/cpu.max");
    return Ratio(quota, period);
  };
  const auto quota_v1 = [](const std::string& dir) {
    return Ratio(ReadWords(dir + "/cpu.cfs_quota_us").first, ReadWords(dir + "/cpu.cfs_period_us").first);
  };
  double quota = 0;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    // "0::/path" for version 2, "4:cpu,cpuacct:/path" for version 1.
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      quota = Smaller(quota, Along(cgroup_root, path, quota_v2));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      quota = Smaller(quota, Along(cgroup_root + "/" + controllers, path, quota_v1));
      quota = Smaller(quota, Along(cgroup_root + "/cpu", path, quota_v1));
    }
  }
  return quota;
}

int AvailableCpus() {
  std::ifstream file("/proc/self/cgroup");
  std::stringstream membership;
  membership << file.rdbuf();
  const double quota = CgroupQuota("/sys/fs/cgroup", membership.str());
  const int cpus = AffinityCount();
  if (quota <= 0 || quota >= cpus) return cpus;
  return std::max(1, static_cast<int>(std::ceil(quota)));
}

}  // namespace sluice
