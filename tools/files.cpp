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
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
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

// Temporary files, and the folder that holds them, that a signal must remove, in this order.
constexpr size_t kMostHalfFiles = 3;
char half_files[kMostHalfFiles][PATH_MAX];
volatile sig_atomic_t num_half_files = 0;

void RemoveHalfFiles() {
  for (int i = num_half_files; i-- > 0;) {
    if (::unlink(half_files[i]) != 0) ::rmdir(half_files[i]);
  }
}

void RemoveAndEnd(int signal_number) {
  RemoveHalfFiles();
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

// Registers a path that is removed at the end and by a signal.
void AddHalfFile(const std::string& name, const std::string& path) {
  if (name.size() >= PATH_MAX) FailAt("write", path, ENAMETOOLONG);
  if (num_half_files == kMostHalfFiles) throw Error(ErrorCode::kInternal, "too many temporary files");
  std::memcpy(half_files[num_half_files], name.c_str(), name.size() + 1);
  num_half_files = num_half_files + 1;
}

// "-" is standard output, as it is to other commands.
std::string PlaceOf(const std::string& path) { return path == "-" ? "/dev/stdout" : path; }

std::string HalfName(const std::string& path) { return fmt::format("{}.{}.part", path, ::getpid()); }

// The name of the file that is written in the place of `path` until it is complete. Removed at the end, and by a
// signal, unless forgotten before. One at a time.
class HalfFile {
 public:
  explicit HalfFile(const std::string& path) : name_(HalfName(path)) { AddHalfFile(name_, path); }
  ~HalfFile() {
    if (num_half_files == 0) return;
    ::unlink(name_.c_str());
    num_half_files = 0;
  }
  HalfFile(const HalfFile&) = delete;
  HalfFile& operator=(const HalfFile&) = delete;
  void Forget() { num_half_files = 0; }
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

bool IsStream(const std::string& path) {
  // Also where it leads to a regular file, as /dev/stdout may: that name is not ours to replace.
  const bool special = path == "-" || (path.starts_with("/dev/") && !path.starts_with("/dev/shm/"));
  if (special || path.starts_with("/proc/")) return true;
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

void WriteFileParts(const std::string& path, const std::function<void(const PutBytes&)>& write) {
  // Throws where the bytes do not get there, so that `write` ends.
  const auto put_to = [&](int fd) {
    return [fd, &path](std::span<const std::byte> bytes) {
      if (const int error = WriteAll(fd, bytes)) FailAt("write", path, error);
    };
  };
  if (IsStream(path)) {
    // Nothing to replace.
    Descriptor file(::open(PlaceOf(path).c_str(), O_WRONLY | O_CLOEXEC));
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

struct StagedFiles::File {
  std::string name;
  Descriptor descriptor;
};

StagedFiles::StagedFiles(const std::string& path) : path_(path), device_(IsStream(path)) {
  struct stat info;
  if (::stat(PlaceOf(path).c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) FailAt("write", path, EISDIR);
    if (::access(PlaceOf(path).c_str(), W_OK) != 0) FailAt("write", path, errno);
  }
  // A stream gets the bytes at the end.
  folder_ = HalfName(device_ ? (fs::temp_directory_path() / "sluice").string() : path);
  AddHalfFile(folder_, path);
  if (::mkdir(folder_.c_str(), 0777) != 0) {
    const int error = errno;
    num_half_files = 0;
    FailAt("write", path, error);
  }
}

StagedFiles::~StagedFiles() {
  RemoveHalfFiles();
  num_half_files = 0;
}

std::string StagedFiles::staged(const std::string& name) const { return folder_ + "/" + name; }

PutBytes StagedFiles::Open(const std::string& name) {
  if (device_ && !files_.empty()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("'{}' takes no second file beside it", path_));
  }
  AddHalfFile(staged(name), path_);
  const int fd = ::open(staged(name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) FailAt("write", path_, errno);
  files_.push_back(std::unique_ptr<File>(new File{name, Descriptor(fd)}));
  return [fd, this](std::span<const std::byte> bytes) {
    if (const int error = WriteAll(fd, bytes)) FailAt("write", path_, error);
  };
}

void StagedFiles::Close() {
  for (const auto& file : files_) {
    if (file->descriptor.get() >= 0 && file->descriptor.Close() != 0) FailAt("write", path_, errno);
  }
}

void StagedFiles::Commit() {
  Close();
  if (device_) {
    const std::vector<std::byte> bytes = ReadFile(staged(files_.front()->name));
    WriteFile(path_, bytes);
    return;
  }
  // The first file last: it refers to the others.
  for (size_t i = files_.size(); i-- > 0;) {
    const std::string to = i == 0 ? path_ : (fs::path(path_).parent_path() / files_[i]->name).string();
    if (::rename(staged(files_[i]->name).c_str(), to.c_str()) != 0) FailAt("write", to, errno);
  }
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
