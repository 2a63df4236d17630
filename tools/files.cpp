#include "tools/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "sluice/error.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void FailAt(const char* what, const std::string& path, int error) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("cannot {} '{}': {}", what, path, std::strerror(error)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

// The temporary file that a signal must remove; set while half_file_active is 1.
char half_file[PATH_MAX];
volatile sig_atomic_t half_file_active = 0;

void RemoveAndEnd(int signal_number) {
  if (half_file_active) ::unlink(half_file);
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

// The name of the file that is written in the place of `path` until it is complete. Removed at the end, and by a
// signal, unless forgotten before. One at a time.
class HalfFile {
 public:
  explicit HalfFile(const std::string& path) : name_(fmt::format("{}.{}.part", path, ::getpid())) {
    if (name_.size() >= sizeof(half_file)) FailAt("write", path, ENAMETOOLONG);
    std::memcpy(half_file, name_.c_str(), name_.size() + 1);
    half_file_active = 1;
  }
  ~HalfFile() {
    if (!half_file_active) return;
    ::unlink(name_.c_str());
    half_file_active = 0;
  }
  HalfFile(const HalfFile&) = delete;
  HalfFile& operator=(const HalfFile&) = delete;
  void Forget() { half_file_active = 0; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

// 0, or the errno of the failure.
int WriteAll(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

std::vector<std::byte> ReadFile(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) FailAt("open", path, errno);
  struct stat info;
  if (::fstat(file.get(), &info) != 0) FailAt("open", path, errno);
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("cannot read '{}': it is not a regular file", path));
  }
  std::vector<std::byte> bytes(static_cast<size_t>(info.st_size));
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) FailAt("read", path, errno);
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

void WriteFileParts(const std::string& path, const std::function<void(const PutBytes&)>& write) {
  // Throws where the bytes do not get there, so that `write` ends.
  const auto put_to = [&](int fd) {
    return [fd, &path](std::span<const std::byte> bytes) {
      if (const int error = WriteAll(fd, bytes)) FailAt("write", path, error);
    };
  };
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    // A pipe or a device: nothing to replace.
    Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.get() < 0) FailAt("write", path, errno);
    write(put_to(file.get()));
    return;
  }
  HalfFile half(path);
  Descriptor file(::open(half.name().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (file.get() < 0) {
    const int error = errno;
    half.Forget();
    FailAt("write", path, error);
  }
  write(put_to(file.get()));
  if (file.Close() != 0) FailAt("write", path, errno);
  if (::rename(half.name().c_str(), path.c_str()) != 0) FailAt("write", path, errno);
  half.Forget();
}

void WriteFile(const std::string& path, std::span<const std::byte> bytes) {
  WriteFileParts(path, [&](const PutBytes& put) { put(bytes); });
}

void WriteFile(const std::string& path, std::string_view text) {
  WriteFile(path, std::as_bytes(std::span(text)));
}

void MakeDirectory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) FailAt("make the folder", path, error.value());
  if (!fs::is_directory(path, error)) FailAt("make the folder", path, ENOTDIR);
  if (::access(path.c_str(), W_OK | X_OK) != 0) FailAt("write to the folder", path, errno);
}

std::string SafeFileName(std::string_view name, std::set<std::string>& taken) {
  // Room for a suffix and an ending below the 255 bytes that file systems allow.
  constexpr size_t kMaxLength = 200;
  std::string safe;
  for (char c : name.substr(0, kMaxLength)) {
    const bool keep = std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
    safe += keep ? c : '_';
  }
  if (safe.empty() || safe[0] == '.') safe.insert(0, "_");
  std::string unique = safe;
  for (int i = 1; !taken.insert(unique).second; ++i) unique = fmt::format("{}_{}", safe, i);
  return unique;
}

std::string Extension(std::string_view path) {
  const size_t slash = path.rfind('/'), dot = path.rfind('.');
  if (dot == std::string_view::npos || (slash != std::string_view::npos && dot < slash)) return "";
  std::string extension(path.substr(dot));
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

void RemoveHalfFilesOnSignals() {
  for (int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    action.sa_handler = RemoveAndEnd;
    ::sigaction(signal_number, &action, nullptr);
  }
}

}  // namespace sluice::tools
