#include "tools/serve/folder_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <set>
#include <utility>

#include "tools/serve/log.h"

namespace sluice::serve {
namespace {

constexpr size_t kMostFolders = 4096;
constexpr uint32_t kEvents =
    IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_ONLYDIR;
// Changes come in crowds: what follows within this time is told in one go.
constexpr int kGatherMs = 20;
// The clock of files is never that far behind, unless it was set back meanwhile.
constexpr int kMostTickMs = 100;

// The clock that files carry the times of: it ticks some milliseconds behind the other one.
int64_t FileClockNs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return std::chrono::nanoseconds(std::chrono::seconds(now.tv_sec)).count() + now.tv_nsec;
}

}  // namespace

FolderWatch::FolderWatch(std::function<void(const std::vector<Arrival>&)> changed)
    : changed_(std::move(changed)) {
  events_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  end_ = eventfd(0, EFD_CLOEXEC);
  if (events_ < 0 || end_ < 0) {
    Log(LogLevel::kWarning,
        "no notice of changes from the system; the folder is looked at from time to time");
    return;
  }
  thread_ = std::thread([this] { Loop(); });
}

FolderWatch::~FolderWatch() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    // An eventfd takes 8 bytes at once.
    [[maybe_unused]] const ssize_t written = write(end_, &one, sizeof one);
    thread_.join();
  }
  if (events_ >= 0) close(events_);
  if (end_ >= 0) close(end_);
}

void FolderWatch::Watch(const std::vector<std::string>& folders) {
  if (!thread_.joinable()) return;
  const std::lock_guard lock(mutex_);
  std::map<int, std::string> fresh;
  for (const std::string& folder : folders) {
    if (fresh.size() >= kMostFolders) break;
    // The same number for a folder that is watched already.
    const int number = inotify_add_watch(events_, folder.c_str(), kEvents);
    if (number >= 0) fresh[number] = folder;
  }
  for (const auto& [number, folder] : folders_)
    if (fresh.count(number) == 0) inotify_rm_watch(events_, number);
  folders_ = std::move(fresh);
}

void FolderWatch::Loop() {
  for (;;) {
    pollfd waiting[] = {{events_, POLLIN, 0}, {end_, POLLIN, 0}};
    if (poll(waiting, 2, -1) < 0) continue;
    if (waiting[1].revents != 0) return;
    if (poll(&waiting[1], 1, kGatherMs) > 0) return;
    const std::vector<Arrival> arrivals = ReadEvents();
    // What is written once these are told carries a later time than theirs.
    for (int i = 0; i < kMostTickMs && !arrivals.empty() && FileClockNs() <= arrivals.back().ns; ++i) {
      if (poll(&waiting[1], 1, 1) > 0) return;
    }
    changed_(arrivals);
  }
}

std::vector<Arrival> FolderWatch::ReadEvents() {
  const int64_t now = std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
  std::vector<Arrival> arrivals;
  alignas(inotify_event) char buffer[64 << 10];
  const std::lock_guard lock(mutex_);
  for (;;) {
    const ssize_t count = read(events_, buffer, sizeof buffer);
    if (count <= 0) return arrivals;
    for (const char* at = buffer; at < buffer + count;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      const auto folder = folders_.find(event->wd);
      if ((event->mask & IN_MOVED_TO) == 0 || event->len == 0 || folder == folders_.end()) continue;
      arrivals.push_back({folder->second + "/" + event->name, now});
    }
  }
}

}  // namespace sluice::serve
