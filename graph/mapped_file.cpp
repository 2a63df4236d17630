#include "graph/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "sluice/error.h"

namespace sluice {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void Fail(ErrorCode code, const std::string& path, const std::string& what) {
  throw Error(code, path + ": " + what);
}

struct stat StatRegular(int fd, ErrorCode code, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) Fail(code, path, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) Fail(code, path, "is a folder, expected a file");
  if (!S_ISREG(info.st_mode)) Fail(code, path, "is not a regular file");
  return info;
}

std::vector<std::string> Components(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = path.find('/', begin);
    if (end == std::string::npos) end = path.size();
    if (end > begin && path.compare(begin, end - begin, ".") != 0)
      parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

struct OpenFile {
  Descriptor descriptor;
  int64_t size;
};

OpenFile OpenPath(const std::string& path) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) Fail(ErrorCode::kInvalidArgument, path, std::strerror(errno));
  const struct stat info = StatRegular(file.get(), ErrorCode::kInvalidArgument, path);
  return {std::move(file), info.st_size};
}

std::string PlaceOf(const std::string& location) { return "external data '" + location + "'"; }

OpenFile OpenLocation(const std::string& folder, const std::string& location) {
  const std::string place = PlaceOf(location);
  constexpr ErrorCode kCode = ErrorCode::kInvalidModel;
  if (location.find('\0') != std::string::npos) Fail(kCode, place, "the name holds a zero byte");
  if (location.starts_with("/")) Fail(kCode, place, "absolute path, expected one inside the model's folder");
  const std::vector<std::string> parts = Components(location);
  if (parts.empty()) Fail(kCode, place, "no file name");
  for (const std::string& part : parts) {
    if (part == "..") Fail(kCode, place, "path leaves the model's folder");
  }
  Descriptor at(open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at.get() < 0) Fail(kCode, place, std::string("the model's folder: ") + std::strerror(errno));
  for (size_t i = 0; i < parts.size(); ++i) {
    const int kind = i + 1 < parts.size() ? O_DIRECTORY : O_NONBLOCK;
    Descriptor next(openat(at.get(), parts[i].c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind));
    if (next.get() < 0) {
      const std::string what = errno == ELOOP ? "is a symbolic link" : std::strerror(errno);
      Fail(kCode, place, "'" + parts[i] + "': " + what);
    }
    at = std::move(next);
  }
  const struct stat info = StatRegular(at.get(), kCode, place);
  if (info.st_nlink > 1)
    Fail(kCode, place, "the file has other hard links, which may lie outside the model's folder");
  return {std::move(at), info.st_size};
}

// Where files are mapped: the end of each by its begin.
struct Mappings {
  std::mutex mutex;
  std::map<uintptr_t, uintptr_t> ends;
};
Mappings& TheMappings() {
  // Never destroyed: files may outlive static objects.
  static auto* const mappings = new Mappings;
  return *mappings;
}

// Bytes from `offset` of an open file.
Tensor ReadBytes(const OpenFile& file, int64_t offset, int64_t length, const std::string& place) {
  Tensor bytes(DataType::kUInt8, {length});
  auto* const to = static_cast<std::byte*>(bytes.mutable_data());
  for (int64_t done = 0; done < length;) {
    const ssize_t count =
        pread(file.descriptor.get(), to + done, static_cast<size_t>(length - done), offset + done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) Fail(ErrorCode::kInvalidModel, place, std::strerror(errno));
    if (count == 0) Fail(ErrorCode::kInvalidModel, place, "became shorter while it was read");
    done += count;
  }
  return bytes;
}

}  // namespace

MappedFile::MappedFile(int descriptor, size_t size, const std::string& path, int protection) : size_(size) {
  if (size == 0) return;
  data_ = mmap(nullptr, size, protection, MAP_PRIVATE, descriptor, 0);
  if (data_ == MAP_FAILED) {
    data_ = nullptr;
    throw Error(ErrorCode::kOutOfMemory, path + ": cannot be mapped: " + std::strerror(errno));
  }
  const auto begin = reinterpret_cast<uintptr_t>(data_);
  const std::lock_guard lock(TheMappings().mutex);
  TheMappings().ends[begin] = begin + size;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  const std::lock_guard lock(TheMappings().mutex);
  TheMappings().ends.erase(reinterpret_cast<uintptr_t>(data_));
  munmap(data_, size_);
}

void MappedFile::Forget() const {
  if (data_ != nullptr) madvise(data_, size_, MADV_DONTNEED);
}

void ForgetMapped(const void* data, size_t size) {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto from = reinterpret_cast<uintptr_t>(data);
  // Whole pages: what lies beside may be in use.
  const uintptr_t begin = (from + page - 1) / page * page, end = (from + size) / page * page;
  if (begin >= end) return;
  const std::lock_guard lock(TheMappings().mutex);
  const auto& ends = TheMappings().ends;
  auto mapping = ends.upper_bound(begin);
  if (mapping == ends.begin() || end > (--mapping)->second) return;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::shared_ptr<const MappedFile> MappedFile::Open(const std::string& path) {
  const OpenFile file = OpenPath(path);
  return std::shared_ptr<const MappedFile>(
      new MappedFile(file.descriptor.get(), static_cast<size_t>(file.size), path, PROT_READ | PROT_WRITE));
}

std::shared_ptr<const MappedFile> MappedFile::OpenShared(const std::string& path) {
  // Device, inode, size, and when the content and the inode changed last.
  using Identity = std::array<int64_t, 7>;
  static std::mutex mutex;
  static auto* const mappings = new std::map<Identity, std::weak_ptr<const MappedFile>>;
  const OpenFile file = OpenPath(path);
  const struct stat info = StatRegular(file.descriptor.get(), ErrorCode::kInvalidArgument, path);
  const Identity identity = {static_cast<int64_t>(info.st_dev),
                             static_cast<int64_t>(info.st_ino),
                             info.st_size,
                             info.st_mtim.tv_sec,
                             info.st_mtim.tv_nsec,
                             info.st_ctim.tv_sec,
                             info.st_ctim.tv_nsec};
  const std::lock_guard lock(mutex);
  std::erase_if(*mappings, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<const MappedFile>& known = (*mappings)[identity];
  if (auto mapping = known.lock()) return mapping;
  const std::shared_ptr<const MappedFile> mapping(
      new MappedFile(file.descriptor.get(), static_cast<size_t>(info.st_size), path, PROT_READ));
  known = mapping;
  return mapping;
}

std::shared_ptr<const MappedFile> MappedFile::OpenInside(const std::string& folder,
                                                         const std::string& location) {
  const OpenFile file = OpenLocation(folder, location);
  return std::shared_ptr<const MappedFile>(new MappedFile(
      file.descriptor.get(), static_cast<size_t>(file.size), PlaceOf(location), PROT_READ | PROT_WRITE));
}

Tensor ReadFile(const std::string& path) {
  const OpenFile file = OpenPath(path);
  return ReadBytes(file, 0, file.size, path);
}

Tensor ReadFileInside(const std::string& folder, const std::string& location, int64_t offset, int64_t length,
                      int64_t& size) {
  const OpenFile file = OpenLocation(folder, location);
  size = file.size;
  const int64_t begin = std::min(offset, size);
  return ReadBytes(file, begin, std::min(length, size - begin), PlaceOf(location));
}

}  // namespace sluice
