#include "runtime/compiled/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "sluice/error.h"

namespace sluice {
namespace {

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// Beside the file, and no other's: not this process's and not another one's.
std::string TemporaryName(const std::string& path) {
  static std::atomic<int> count{0};
  std::string name = FolderOf(path);
  name += "/.";
  name += std::filesystem::path(path).filename().string();
  name += '.';
  name += std::to_string(getpid());
  name += '.';
  name += std::to_string(count++);
  return name;
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), temporary_(TemporaryName(path_)) {
  struct stat info {};
  if (stat(path_.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) Fail("is no regular file");
#ifdef O_TMPFILE
  descriptor_ = open(FolderOf(path_).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
#endif
  if (descriptor_ >= 0) return;
  descriptor_ = open(temporary_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor_ < 0) Fail(std::strerror(errno));
  named_ = true;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (named_) unlink(temporary_.c_str());
}

void AtomicFile::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) Fail(std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::Commit() {
  // Otherwise the name may be on the disk before the bytes are, when the machine loses its power.
  if (fsync(descriptor_) != 0) Fail(std::strerror(errno));
  if (!named_) {
    const std::string source = "/proc/self/fd/" + std::to_string(descriptor_);
    if (linkat(AT_FDCWD, source.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0)
      Fail(std::strerror(errno));
    named_ = true;
  }
  if (rename(temporary_.c_str(), path_.c_str()) != 0) Fail(std::strerror(errno));
  named_ = false;
}

void AtomicFile::Fail(const std::string& what) const {
  throw Error(ErrorCode::kInvalidArgument, "cannot write '" + path_ + "': " + what);
}

}  // namespace sluice
