#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice::serve {

// A file or folder that was renamed to its place, whole, at this time since 1970.
struct Arrival {
  std::string path;
  int64_t ns = 0;
};

// Tells of changes in folders as soon as the system does (inotify). It may miss some, on network file systems
// all: whoever needs every change looks at the folders from time to time as well.
class FolderWatch {
 public:
  // `changed` is called on a thread of the watch's own.
  explicit FolderWatch(std::function<void(const std::vector<Arrival>&)> changed);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Those to watch from here on.
  void Watch(const std::vector<std::string>& folders);

 private:
  void Loop();
  std::vector<Arrival> ReadEvents();

  std::function<void(const std::vector<Arrival>&)> changed_;
  int events_ = -1;  // of inotify; none where the system has no more to give
  int end_ = -1;     // an eventfd that ends the thread
  std::mutex mutex_;
  std::map<int, std::string> folders_;  // by inotify's number
  std::thread thread_;
};

}  // namespace sluice::serve
