#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace sluice {

// A file that appears at once, complete, in the place of what is there, or not at all: whoever has the former
// one open or mapped keeps it. Where the file system can, it has no name until then, so that not even the end
// of the process leaves anything behind. Throws Error{kInvalidArgument} that names the path and the system's
// reason.
class AtomicFile {
 public:
  // A path that is there and no regular file is refused.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Write(std::span<const std::byte> bytes);
  // On the disk, and then in its place.
  void Commit();

 private:
  [[noreturn]] void Fail(const std::string& what) const;

  const std::string path_, temporary_;
  int descriptor_ = -1;
  bool named_ = false;  // as temporary_
};

}  // namespace sluice
