#include "runtime/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <sstream>

#include "runtime/cgroup.h"
#include "sluice/error.h"
#include "sluice/tensor.h"

namespace sluice {
namespace {

// From here on touching the pages takes hundreds of times longer than asking the system.
constexpr int64_t kAskFrom = int64_t{256} << 20;

std::atomic<int64_t> reserved_bytes{0};

int64_t PhysicalMemory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? pages * page : INT64_MAX;
}

[[noreturn]] void Fail(int64_t bytes, const std::string& what, int64_t limit) {
  throw Error(ErrorCode::kOutOfMemory, "a tensor of " + std::to_string(bytes) + " bytes exceeds " + what +
                                           " of " + std::to_string(limit));
}

}  // namespace

int64_t CgroupMemoryLimit(const std::string& cgroup_root, const std::string& membership) {
  int64_t limit = INT64_MAX;
  VisitControlGroups(cgroup_root, membership, "memory", [&](const std::string& folder) {
    for (const char* name : {"/memory.max", "/memory.limit_in_bytes"}) {
      std::ifstream file(folder + name);
      int64_t bytes = 0;
      // "max" is no number.
      if (file >> bytes && bytes > 0) limit = std::min(limit, bytes);
    }
  });
  return limit;
}

int64_t AvailableIn(const std::string& meminfo) {
  std::istringstream lines(meminfo);
  int64_t available = -1, swap = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t kib = 0;
    if (!(words >> name >> kib) || kib < 0 || kib > INT64_MAX / 4096) continue;
    if (name == "MemAvailable:") available = kib * 1024;
    if (name == "SwapFree:") swap = kib * 1024;
  }
  return available < 0 ? INT64_MAX : available + swap;
}

int64_t MemoryLimit() {
  static const int64_t limit =
      std::min(PhysicalMemory(), CgroupMemoryLimit("/sys/fs/cgroup", ControlGroupsOfProcess()));
  return limit;
}

int64_t AvailableMemory() {
  std::ifstream file("/proc/meminfo");
  std::stringstream text;
  text << file.rdbuf();
  return AvailableIn(text.str());
}

void CheckMemory(int64_t bytes) {
  if (bytes > MemoryLimit()) Fail(bytes, "the machine's memory", MemoryLimit());
  if (bytes < kAskFrom) return;
  if (const int64_t available = AvailableMemory(); bytes > available)
    Fail(bytes, "the free memory", available);
}

void ReserveMemory(int64_t bytes) {
  CheckMemory(bytes);
  const int64_t before = reserved_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (before <= MemoryLimit() - bytes) return;
  ReturnMemory(bytes);
  Fail(bytes, "what is left to the process", MemoryLimit() - before);
}

void ReturnMemory(int64_t bytes) { reserved_bytes.fetch_sub(bytes, std::memory_order_relaxed); }

}  // namespace sluice
