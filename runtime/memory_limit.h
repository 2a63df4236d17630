#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// Bytes that this process may ever use: the machine's memory, cut to the limits of its control groups
// (versions 1 and 2, every ancestor counts). Read once.
int64_t MemoryLimit();

// Bytes that the system can still give without ending a process, by its own estimate; INT64_MAX where it
// makes none. Tens of microseconds.
int64_t AvailableMemory();

// The limit that the control groups under `cgroup_root` (as /sys/fs/cgroup) set for a process whose
// /proc/self/cgroup reads `membership`; INT64_MAX where there is none. For tests.
int64_t CgroupMemoryLimit(const std::string& cgroup_root, const std::string& membership);

// MemAvailable and SwapFree of a text like /proc/meminfo, in bytes. For tests.
int64_t AvailableIn(const std::string& meminfo);

// Takes `bytes` from what all tensors and scratch of the process may use together and gives them back.
// Throws Error{kOutOfMemory} where they are not there.
void ReserveMemory(int64_t bytes);
void ReturnMemory(int64_t bytes);

}  // namespace sluice
