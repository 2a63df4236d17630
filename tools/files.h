#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools {

// The bytes of a regular file. Throws Error{kInvalidArgument} that names it.
std::vector<std::byte> ReadFile(const std::string& path);

// Puts `bytes` in a file in one step: whoever reads it sees the old content or all of the new, also
// when the command is interrupted. Throws Error{kInvalidArgument} that names it.
void WriteFile(const std::string& path, std::span<const std::byte> bytes);
void WriteFile(const std::string& path, std::string_view text);
// The same for content that comes in parts: `write` calls its argument with one after the other. An exception of
// `write` leaves the old content.
using PutBytes = std::function<void(std::span<const std::byte>)>;
void WriteFileParts(const std::string& path, const std::function<void(const PutBytes&)>& write);

// Whether the path is that of a pipe or a device, which takes bytes and is never replaced. "-" is standard output.
bool IsStream(const std::string& path);

// Files that appear at once: they are written to a folder beside `path`, can be read there, and take their places by
// Commit. Without it nothing is left, after a signal neither. One at a time. Throws Error{kInvalidArgument} that
// names the path; a folder in its place is refused at once.
class StagedFiles {
 public:
  explicit StagedFiles(const std::string& path);
  ~StagedFiles();
  StagedFiles(const StagedFiles&) = delete;
  StagedFiles& operator=(const StagedFiles&) = delete;

  // Begins a file. The first becomes `path`, the others NAME beside it. What it returns takes the bytes.
  PutBytes Open(const std::string& name);
  // The bytes are complete.
  void Close();
  // Where a file is until Commit.
  std::string staged(const std::string& name) const;
  void Commit();

 private:
  struct File;

  std::string path_, folder_;
  bool device_ = false;
  std::vector<std::unique_ptr<File>> files_;
};

// Makes a directory and those above it; fails unless files can be made in it.
void MakeDirectory(const std::string& path);

// `name` as the name of a file: everything but letters, digits, '-', '_' and '.' becomes '_', there
// is no leading '.', and the result is not in `taken` (a number is appended), where it is added.
std::string SafeFileName(std::string_view name, std::set<std::string>& taken);

// ".png" of "a/B.PNG": in lower case, with the dot, empty where there is none.
std::string Extension(std::string_view path);

// From here on SIGINT, SIGTERM and SIGHUP remove a half-written file before they end the process.
void RemoveHalfFilesOnSignals();

}  // namespace sluice::tools
