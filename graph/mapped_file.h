#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "sluice/tensor.h"

namespace sluice {

// A file mapped read-only; views into it keep the mapping alive through its shared_ptr. Writing to a
// view reaches neither the file nor other processes.
class MappedFile {
 public:
  // Throws Error{kInvalidArgument} for what cannot be opened or is no regular file.
  static std::shared_ptr<const MappedFile> Open(const std::string& path);
  // The same, and the same mapping for everybody in the process who opens the file while somebody has it, unless it
  // has changed. Nobody may write to views of it.
  static std::shared_ptr<const MappedFile> OpenShared(const std::string& path);
  // A file that a model refers to: `location` is relative to `folder` and must stay inside: no "..",
  // no absolute path, no symbolic link on the way, no second hard link. Throws Error{kInvalidModel}.
  static std::shared_ptr<const MappedFile> OpenInside(const std::string& folder, const std::string& location);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  // Gives the pages that were read back to the system; the next access reads them again.
  void Forget() const;

 private:
  MappedFile(int descriptor, size_t size, const std::string& path, int protection);

  void* data_ = nullptr;
  size_t size_ = 0;
};

// Gives the pages of [data, data + size) that lie in a mapped file back to the system, if any do: for who has read
// what it needs of a view, which stays good unless somebody wrote to it. Thread-safe.
void ForgetMapped(const void* data, size_t size);

// The same files, read into memory of their own (uint8 [n]): what happens to the file later, a cut or an
// overwriting in place, does not reach it. Throw as Open and OpenInside, and Error{kInvalidModel} for a file that
// is cut while it is read.
Tensor ReadFile(const std::string& path);
// `length` bytes from `offset`; fewer where the file, of `size` bytes, ends before.
Tensor ReadFileInside(const std::string& folder, const std::string& location, int64_t offset, int64_t length,
                      int64_t& size);

}  // namespace sluice
